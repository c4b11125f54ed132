/** Attestations in registries where cosign before version 3 looks for them, see `src/oci/cosign-tag.ts`. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { inputError } from "../../errors.ts";
import { addToConfig, addToManifest, cosignTag, type EnvelopeImage, envelopesOf } from "../../oci/cosign-tag.ts";
import type { BlobDigest } from "../../oci/digest.ts";
import { formatJson, parseJsonObject } from "../../oci/json.ts";
import { INDEX_TYPE, MANIFEST_TYPE, MANIFESTS } from "../../oci/media-types.ts";
import { JSON_LIMIT, parseManifest } from "../../oci/schemas.ts";
import { openStore } from "./file-store.ts";
import { readBlob } from "./oci-layout.ts";
import type { AttachedBlob } from "./referrers.ts";
import type { RemoteImages } from "./remote-images.ts";
import { pullManifest, pushManifest, type Repository, repositoryOf } from "./repository.ts";

/** Envelopes that are read: cosign has the same limit. */
const LAYER_LIMIT = 1000;

/** A DSSE envelope. */
export interface Envelope {
  readonly bytes: Uint8Array;
  readonly predicateType: string;
}

/**
 * The envelopes at an image's tag.
 * @param reference `docker://…`, in whose repository they are looked for
 * @throws SealError `external` when the registry or skopeo fails; `input` for what is damaged or too large
 */
export async function taggedEnvelopes(
  remote: RemoteImages,
  reference: string,
  image: BlobDigest,
): Promise<readonly AttachedBlob[]> {
  const found = await find(remote, repositoryOf(reference, remote), image);
  if (found === null) return [];
  const { layout, bytes, subject } = found;
  const store = await openStore("oci", subject, layout);
  const attached: AttachedBlob[] = [];
  for (const [index, layer] of envelopesOf(bytes, subject).entries()) {
    const annotations = layer.annotations ?? {};
    attached.push({ subject: `${subject}: layer ${index + 1}`, annotations, bytes: await readBlob(store, layer) });
  }
  return attached;
}

/**
 * Adds envelopes to those at an image's tag.
 * @throws SealError as {@link taggedEnvelopes}
 */
export async function pushEnvelopes(
  remote: RemoteImages,
  reference: string,
  image: BlobDigest,
  envelopes: readonly Envelope[],
): Promise<void> {
  const repository = repositoryOf(reference, remote);
  const found = await find(remote, repository, image);
  const layout = found?.layout ?? join(await remote.directory(), "pushed");
  const tag = cosignTag(image);
  const documents = found === null ? null : await documentsOf(found);
  await pushManifest(repository, { layout, tag }, async (blobs) => {
    const layers = [];
    for (const { bytes, predicateType } of envelopes) layers.push({ ...(await blobs.add([bytes])), predicateType });
    const config = await blobs.add([formatJson(addToConfig(documents, layers, tag))]);
    const manifest = await blobs.add([formatJson(addToManifest(documents, layers, config, tag))]);
    return { ...manifest, mediaType: MANIFEST_TYPE };
  });
}

interface Found {
  /** What messages call it. */
  readonly subject: string;
  /** Absolute path of a copy. */
  readonly layout: string;
  /** Its manifest. */
  readonly bytes: Uint8Array;
}

/** Copies what is at the tag; null: nothing is. */
async function find(remote: RemoteImages, repository: Repository, image: BlobDigest): Promise<Found | null> {
  const tag = cosignTag(image);
  // Asked for one type only, registries answer that there is nothing if it is something else, which then
  // would be overwritten.
  const { status, mediaType, body } = await repository.client.get(
    `manifests/${tag}`,
    [INDEX_TYPE, ...MANIFESTS].join(", "),
  );
  if (status === 404) return null;
  const subject = `docker://${repository.name}:${tag}`;
  if (status !== 200 || mediaType !== MANIFEST_TYPE) {
    throw inputError(subject, `is not an image of attestations as cosign makes them (status: ${status}, ${mediaType})`);
  }
  const { config, layers } = parseManifest(body, subject);
  if (layers.length > LAYER_LIMIT || [config, ...layers].some(({ size }) => size > JSON_LIMIT)) {
    throw inputError(subject, "is too large for attestations; give the bundles with --bundle");
  }
  const layout = join(await remote.directory(), "pushed");
  // By its digest: the tag may be moved meanwhile.
  await pullManifest(repository, `sha256:${createHash("sha256").update(body).digest("hex")}`, layout);
  return { subject, layout, bytes: body };
}

async function documentsOf({ subject, layout, bytes }: Found): Promise<EnvelopeImage> {
  envelopesOf(bytes, subject);
  const store = await openStore("oci", subject, layout);
  const config = await readBlob(store, parseManifest(bytes, subject).config);
  return { manifest: parseJsonObject(bytes, subject), config: parseJsonObject(config, `${subject}: configuration`) };
}
