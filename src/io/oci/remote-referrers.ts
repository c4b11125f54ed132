/**
 * What refers to images in registries (OCI distribution specification 1.1, "Listing Referrers", "Pushing Manifests with Subject"). Registries of that
 * version keep the list by themselves; in others it is an index with a tag of its own, which is for clients to keep.
 */
import { join } from "node:path";
import { inputError, SealError } from "../../errors.ts";
import { type BlobDigest, formatBlobDigest } from "../../oci/digest.ts";
import { type Blob, describeIndex, NEW_INDEX } from "../../oci/edit.ts";
import { formatJson, type JsonObject, parseJsonObject } from "../../oci/json.ts";
import { INDEX_TYPE } from "../../oci/media-types.ts";
import { parseReference } from "../../oci/reference.ts";
import { mayBeOfType, parseReferrer, referrersTag, withReferrers } from "../../oci/referrer.ts";
import { type Descriptor, JSON_LIMIT, parseIndex, parseManifest } from "../../oci/schemas.ts";
import { type Attachment, type WrittenReferrer, writeReferrer } from "./attachment.ts";
import type { BlobWriter } from "./blob-writer.ts";
import { writeLayout } from "./image-writer.ts";
import { RegistryClient } from "./registry-client.ts";
import type { RemoteImages } from "./remote-images.ts";
import { copyBySkopeo, manifestBySkopeo, type SkopeoOptions } from "./skopeo.ts";

/** Pages of a list, each of up to 4 MiB. */
const PAGE_LIMIT = 64;
/** Referrers of one image that are copied: each is a call of skopeo. */
const REFERRER_LIMIT = 256;
/** They carry signatures of their own, which are checked here; what a machine demands of images is another matter. */
const GLOBAL = ["--insecure-policy"];

/** Where a registry is asked, and how. */
interface Repository {
  /** With its registry: `ghcr.io/me/os`. */
  readonly name: string;
  readonly client: RegistryClient;
  readonly options: SkopeoOptions;
}

/** The repository of an image. @param reference `docker://…` @throws SealError `usage` for what is no name of an image */
function repositoryOf(reference: string, { options }: RemoteImages): Repository {
  const parsed = parseReference(reference.replace(/^docker:\/\//, ""));
  if (parsed === null)
    throw new SealError("usage", `${reference}: is no name of an image; give docker://HOST/NAME:TAG`);
  return { name: parsed.name, client: new RegistryClient(parsed.name, options), options };
}

function named({ name }: Repository, digest: string): string {
  return `docker://${name}@${digest}`;
}

interface ReferrerList {
  /** Whether the registry keeps it by itself. */
  readonly isKept: boolean;
  /** As it stands there; of several pages the entries of all. */
  readonly index: JsonObject;
  readonly manifests: readonly Descriptor[];
}

/** @throws SealError as `RegistryClient.get`; `input` for what is no list */
async function listReferrers({ name, client }: Repository, digest: BlobDigest): Promise<ReferrerList> {
  const subject = `docker://${name}: what refers to ${formatBlobDigest(digest)}`;
  const manifests: Descriptor[] = [];
  let next: string | null = `referrers/${formatBlobDigest(digest)}`;
  for (let page = 0; next !== null; page++) {
    if (page === PAGE_LIMIT) throw inputError(subject, "is a list without an end");
    const answer = await client.get(next, INDEX_TYPE);
    const isList = answer.status === 200 && answer.mediaType === INDEX_TYPE;
    // "If the registry does not support the referrers API, the response MUST be 404"; some return a page for people.
    if (!isList && page === 0) return taggedList(client, digest, subject);
    if (!isList) throw inputError(subject, `is cut off (status: ${answer.status})`);
    manifests.push(...parseIndex(answer.body, subject).manifests);
    next = answer.next;
  }
  return { isKept: true, index: NEW_INDEX, manifests };
}

async function taggedList(client: RegistryClient, digest: BlobDigest, subject: string): Promise<ReferrerList> {
  const tag = referrersTag(digest);
  const { status, mediaType, body } = await client.get(`manifests/${tag}`, INDEX_TYPE);
  if (status === 404) return { isKept: false, index: NEW_INDEX, manifests: [] };
  if (status !== 200 || mediaType !== INDEX_TYPE) {
    throw inputError(subject, `stands at the tag ${tag}, where there is no index (status: ${status}, ${mediaType})`);
  }
  return { isKept: false, index: parseJsonObject(body, subject), manifests: parseIndex(body, subject).manifests };
}

/**
 * Copies all referrers of an image that are of a type.
 * @param reference `docker://…`, in whose repository they are looked for
 * @returns absolute path of a layout with nothing else, which is there until `RemoteImages.close`
 * @throws SealError `external` when the registry or skopeo fails; `input` for what is damaged or too large
 */
export async function copyReferrers(
  remote: RemoteImages,
  reference: string,
  { digest, artifactType }: { readonly digest: BlobDigest; readonly artifactType: string },
): Promise<string> {
  const repository = repositoryOf(reference, remote);
  const label = `docker://${repository.name}`;
  const layout = join(await remote.directory(), "referrers");
  await layoutOf(layout, repository, async () => []);
  const { manifests } = await listReferrers(repository, digest);
  const digests = new Set(
    manifests.filter((one) => mayBeOfType(one, artifactType)).map((one) => formatBlobDigest(one.digest)),
  );
  if (digests.size > REFERRER_LIMIT) {
    throw inputError(label, `${digests.size} things refer to the image, too many; give the bundles with --bundle`);
  }
  for (const one of digests) {
    const manifest = named(repository, one);
    const bytes = await manifestBySkopeo(manifest, repository.options);
    if (parseReferrer(bytes, manifest)?.artifactType !== artifactType) continue;
    const { config, layers } = parseManifest(bytes, manifest);
    if ([config, ...layers].some(({ size }) => size > JSON_LIMIT)) throw inputError(manifest, "is too large");
    const copy = {
      reference: manifest,
      end: "src",
      layout: `${layout}:${one.replace(":", "-")}`,
      global: GLOBAL,
    } as const;
    await copyBySkopeo({ ...copy, options: ["--preserve-digests"] }, repository.options);
  }
  return layout;
}

/**
 * Pushes attachments beside their images. What refers to these already stays.
 * @param reference `docker://…`, into whose repository they go
 * @returns their manifests
 * @throws SealError `external` when the registry or skopeo fails
 */
export async function pushReferrers(
  remote: RemoteImages,
  reference: string,
  attachments: readonly Attachment[],
): Promise<readonly Blob[]> {
  const repository = repositoryOf(reference, remote);
  const pushed: { readonly image: BlobDigest; readonly written: WrittenReferrer }[] = [];
  for (const attachment of attachments) {
    const written = await push(repository, await remote.directory(), (blobs) => writeReferrer(blobs, attachment));
    pushed.push({ image: attachment.image.digest, written });
  }
  for (const hex of new Set(pushed.map(({ image }) => image.hex))) {
    const [first, ...others] = pushed.filter(({ image }) => image.hex === hex);
    if (first === undefined) continue;
    // Read as late as can be: whoever pushes at the same time keeps this list too.
    const { isKept, index } = await listReferrers(repository, first.image);
    if (isKept) continue;
    const tag = referrersTag(first.image);
    const entries = [first, ...others].map(({ written }) => written.entry);
    await pushIndex(repository, tag, withReferrers(index, entries, tag), await remote.directory());
  }
  return pushed.map(({ written }) => written.manifest);
}

/** Pushes one manifest and its blobs as they are. */
async function push(
  repository: Repository,
  directory: string,
  write: (blobs: BlobWriter) => Promise<WrittenReferrer>,
): Promise<WrittenReferrer> {
  const layout = join(directory, "pushed");
  const [written] = await layoutOf(layout, repository, async (blobs) => [await write(blobs)]);
  if (written === undefined) throw new Error("nothing was written");
  const reference = named(repository, formatBlobDigest(written.manifest.digest));
  await copyBySkopeo(
    { reference, end: "dest", layout, global: GLOBAL, options: ["--preserve-digests"] },
    repository.options,
  );
  return written;
}

/** Pushes an index, whose manifests are there already. */
async function pushIndex(repository: Repository, tag: string, index: JsonObject, directory: string): Promise<void> {
  const layout = join(directory, "pushed");
  await layoutOf(layout, repository, async (blobs) => {
    const manifest = await blobs.add([formatJson(index)]);
    return [{ manifest, entry: describeIndex(manifest, null) }];
  });
  const reference = `docker://${repository.name}:${tag}`;
  const options = ["--preserve-digests", "--multi-arch", "index-only"];
  await copyBySkopeo({ reference, end: "dest", layout, global: GLOBAL, options }, repository.options);
}

/** Writes a new layout. @param path absolute @param write its blobs, and what gets into its index */
async function layoutOf(
  path: string,
  { name }: Repository,
  write: (blobs: BlobWriter) => Promise<readonly WrittenReferrer[]>,
): Promise<readonly WrittenReferrer[]> {
  return writeLayout(
    { kind: "oci", path, tag: null, label: `docker://${name}`, isTemporary: true },
    { write: ({ blobs }) => write(blobs), check: async () => {} },
    {
      edit: (index, written, subject) =>
        withReferrers(
          index,
          written.map(({ entry }) => entry),
          subject,
        ),
      refuse: () => {},
    },
  );
}
