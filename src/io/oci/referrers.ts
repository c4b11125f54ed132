/** Images of a layout by the digests of their manifests, and what else in the layout is about them. */
import { resolve } from "node:path";
import { inputError } from "../../errors.ts";
import { formatBlobDigest } from "../../oci/digest.ts";
import type { Annotations } from "../../oci/edit.ts";
import { isIndexType, MANIFESTS } from "../../oci/media-types.ts";
import { formatPlatform, type Platform, samePlatform } from "../../oci/platform.ts";
import { parseReferrer, refersTo } from "../../oci/referrer.ts";
import { type Descriptor, parseIndex } from "../../oci/schemas.ts";
import type { ImageSource, LocalImageSource, OpenOptions } from "../rootfs-source.ts";
import { type FileStore, openStore } from "./file-store.ts";
import { choiceOf, localImage, requireRemote } from "./image.ts";
import { type ImageList, listImages } from "./image-list.ts";
import { digestThere } from "./named-image.ts";
import { findManifest, findTagged, readBlob, readJson } from "./oci-layout.ts";
import { copyReferrers } from "./remote-referrers.ts";

/** An image, by its manifest. */
export interface FoundImage {
  readonly manifest: Descriptor;
  /** `os/architecture[/variant]`; null: the only one, whatever it is for. */
  readonly platform: string | null;
  /** Reads it, and no other one. */
  readonly source: LocalImageSource;
}

/** The images that a reference means, where they are. */
export interface FoundImages {
  /** As it was named: it may be elsewhere, and what is here a copy. */
  readonly given: ImageSource;
  readonly source: LocalImageSource;
  /** Of the layout or archive, absolute. */
  readonly path: string;
  readonly store: FileStore;
  /** What the reference means: a manifest, or an index; null: several manifests with one name. */
  readonly entry: Descriptor | null;
  readonly images: readonly FoundImage[];
}

/**
 * Finds an image, or all images of an index; with a platform that one. Every image that may be pulled from
 * the index is included.
 * @returns one image at least
 * @throws SealError `input` for what is damaged or lacks the image, and for archives of docker save,
 *   which have no manifest
 */
export async function findImages(
  given: ImageSource,
  options: Pick<OpenOptions, "cwd" | "remote" | "platform">,
): Promise<FoundImages> {
  const source = await localImage(given, options, options.platform === undefined ? "all" : "one");
  const { kind, subject } = source;
  if (kind === "docker-archive") {
    throw inputError(subject, "has no manifest, so there is no digest for statements to refer to; copy it to oci:PATH");
  }
  const path = resolve(options.cwd, source.path);
  const store = await openStore(kind, subject, path);
  if (options.platform !== undefined) {
    const choice = choiceOf(source, options);
    const { descriptor: manifest } = await findManifest(store, choice);
    const images = [{ manifest, platform: options.platform, source: { ...source, manifest } }];
    if (given.kind === "docker") await checkCopy(given, manifest, options);
    const entry = await findTagged(store, choice);
    // What skopeo fetched it chose by itself.
    if ("path" in given && isIndexType(entry.mediaType)) {
      refuseTwin(await listImages(source, options), manifest, choice.platform);
    }
    return { given, source, path, store, entry, images };
  }
  const { entries, images, others } = await listImages(source, options);
  const hidden = others.find(({ isForNone }) => !isForNone);
  if (hidden !== undefined) {
    throw inputError(
      subject,
      `its index declares ${hidden.digest} not to be an image (${JSON.stringify(hidden.type)}), but podman may use it as one; choose an image with --platform`,
    );
  }
  // Of nothing all would be true.
  if (images.length === 0) throw inputError(subject, "has no image for any platform");
  const [entry = null, second] = entries;
  if (given.kind === "docker" && entry !== null) await checkCopy(given, entry, options);
  return {
    given,
    source,
    path,
    store,
    entry: second === undefined ? entry : null,
    images: images.map((image) => ({
      manifest: image.source.manifest,
      platform: images.length === 1 ? null : formatPlatform(image.platform),
      source: image.source,
    })),
  };
}

/**
 * Of two images for one platform podman and skopeo take one by its compression: to look at the other one would say
 * nothing of what they take.
 * @throws SealError `input`
 */
function refuseTwin({ subject, images, others }: ImageList, chosen: Descriptor, wanted: Platform): void {
  const own = formatBlobDigest(chosen.digest);
  const twin = [...images, ...others].find(
    ({ digest, platform }) => digest !== own && platform !== undefined && samePlatform(platform, wanted),
  );
  if (twin === undefined) return;
  throw inputError(
    subject,
    `has two images for ${formatPlatform(wanted)}: ${own} and ${twin.digest}, and podman may use either; omit --platform to verify both`,
  );
}

/**
 * Skopeo makes an OCI image of what is in Docker's format: that would be another image than the one that was named.
 * @param copy what the reference means in the copy of it
 * @throws SealError `input` when it has another digest
 */
async function checkCopy(
  { subject }: ImageSource,
  copy: Descriptor,
  options: Pick<OpenOptions, "remote" | "platform">,
): Promise<void> {
  const digest = await digestThere(subject, options);
  if (digest === formatBlobDigest(copy.digest)) return;
  throw inputError(
    subject,
    `has the digest ${digest}, but its copy in OCI format has ${formatBlobDigest(copy.digest)}: push it in OCI format (podman push --format oci)`,
  );
}

/** What is attached to an image. */
export interface AttachedBlob {
  /** What it is called in messages. */
  readonly subject: string;
  /** Its annotations. */
  readonly annotations: Annotations;
  readonly bytes: Uint8Array;
}

/** Manifests in one layout that are looked through for what is about an image. */
const ENTRY_LIMIT = 4096;

/**
 * The contents of all referrers of an image that are of a type: in the order of the `index.json` of its layout, or as
 * its registry lists them.
 * @throws SealError `input` for what is damaged; `external` when a registry or skopeo fails
 */
export async function attachedBlobs(
  { given, store }: Pick<FoundImages, "given" | "store">,
  image: Descriptor,
  artifactType: string,
  { remote }: Pick<OpenOptions, "remote">,
): Promise<readonly AttachedBlob[]> {
  if ("path" in given) return blobsIn(store, image, artifactType);
  const { subject } = given;
  const wanted = { digest: image.digest, artifactType };
  const layout = await copyReferrers(requireRemote(subject, remote), subject, wanted);
  return layout === null ? [] : blobsIn(await openStore("oci", subject, layout), image, artifactType);
}

async function blobsIn(store: FileStore, image: Descriptor, artifactType: string): Promise<readonly AttachedBlob[]> {
  const { subject } = store;
  const { manifests } = parseIndex(await readJson(await store.find("index.json")), `${subject}: index.json`);
  if (manifests.length > ENTRY_LIMIT) throw inputError(subject, `its index has ${manifests.length} entries, too many`);
  const attached: AttachedBlob[] = [];
  const seen = new Set<string>();
  for (const descriptor of manifests) {
    const digest = formatBlobDigest(descriptor.digest);
    if (seen.has(digest) || digest === formatBlobDigest(image.digest)) continue;
    seen.add(digest);
    // Indexes, and what other tools keep in a layout, refer to nothing.
    if (!MANIFESTS.includes(descriptor.mediaType)) continue;
    const named = `${subject}: ${digest}`;
    const referrer = parseReferrer(await readBlob(store, descriptor), named);
    if (referrer === null || referrer.artifactType !== artifactType || !refersTo(referrer, image)) continue;
    const [content, second] = referrer.layers;
    if (content === undefined || second !== undefined || content.mediaType !== artifactType) {
      throw inputError(named, `refers to the image but does not contain exactly one ${artifactType}: it is damaged`);
    }
    attached.push({ subject: named, annotations: referrer.annotations, bytes: await readBlob(store, content) });
  }
  return attached;
}
