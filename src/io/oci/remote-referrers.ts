/**
 * What refers to images in registries (OCI distribution specification 1.1, "Listing Referrers", "Pushing Manifests
 * with Subject"). Registries of that version keep the list by themselves; in others it is an index with its own tag,
 * which clients maintain.
 */
import { join } from "node:path";
import { inputError } from "../../errors.ts";
import { type BlobDigest, formatBlobDigest } from "../../oci/digest.ts";
import { type Blob, NEW_INDEX, type StoredLayer } from "../../oci/edit.ts";
import { formatJson, type JsonObject, parseJsonObject } from "../../oci/json.ts";
import { INDEX_TYPE, MANIFEST_TYPE, MANIFESTS } from "../../oci/media-types.ts";
import { mayBeOfType, parseReferrer, referrersTag, withReferrers } from "../../oci/referrer.ts";
import { type Descriptor, JSON_LIMIT, parseIndex, parseManifest } from "../../oci/schemas.ts";
import { type Attachment, writeReferrer } from "./attachment.ts";
import type { RegistryClient } from "./registry-client.ts";
import type { RemoteImages } from "./remote-images.ts";
import { manifestAt, pullManifest, pushManifest, type Repository, repositoryOf } from "./repository.ts";
import { manifestBySkopeo } from "./skopeo.ts";

/** Pages of a list, each of up to 4 MiB, and entries of all of them. */
const PAGE_LIMIT = 64;
const ENTRY_LIMIT = 4096;
/** Referrers of one image that are copied: each is a call of skopeo. */
const REFERRER_LIMIT = 256;
interface ReferrerList {
  /** Whether the registry keeps it by itself. */
  readonly isKept: boolean;
  /** As it is; of several pages the entries of all. */
  readonly index: JsonObject;
  readonly manifests: readonly Descriptor[];
}

/** @throws SealError as `RegistryClient.get`; `input` for what is not a list */
async function listReferrers({ name, client }: Repository, digest: BlobDigest): Promise<ReferrerList> {
  const subject = `docker://${name}: what refers to ${formatBlobDigest(digest)}`;
  const manifests: Descriptor[] = [];
  let next: string | null = `referrers/${formatBlobDigest(digest)}`;
  for (let page = 0; next !== null; page++) {
    if (page === PAGE_LIMIT) throw inputError(subject, "is an endless list");
    const answer = await client.get(next, INDEX_TYPE);
    const isList = answer.status === 200 && answer.mediaType === INDEX_TYPE;
    // "If the registry does not support the referrers API, the response MUST be 404"; some return a page for people.
    if (!isList && page === 0) return taggedList(client, digest, subject);
    if (!isList) throw inputError(subject, `is cut off (status: ${answer.status})`);
    for (const one of parseIndex(answer.body, subject).manifests) manifests.push(one);
    if (manifests.length > ENTRY_LIMIT) throw inputError(subject, "is too long a list; give the bundles with --bundle");
    next = answer.next;
  }
  return { isKept: true, index: NEW_INDEX, manifests };
}

async function taggedList(client: RegistryClient, digest: BlobDigest, subject: string): Promise<ReferrerList> {
  const tag = referrersTag(digest);
  // Asked for an index only, registries answer that there is nothing if it is an image, which then
  // would be overwritten.
  const { status, mediaType, body } = await client.get(`manifests/${tag}`, [INDEX_TYPE, ...MANIFESTS].join(", "));
  if (status === 404) return { isKept: false, index: NEW_INDEX, manifests: [] };
  if (status !== 200 || mediaType !== INDEX_TYPE) {
    throw inputError(
      subject,
      `should be an index at the tag ${tag}, which is something else (status: ${status}, ${mediaType}); cosign copy puts the image there. Delete that tag`,
    );
  }
  return { isKept: false, index: parseJsonObject(body, subject), manifests: parseIndex(body, subject).manifests };
}

/**
 * Copies all referrers of an image that are of a type.
 * @param reference `docker://…`, in whose repository they are looked for
 * @returns absolute path of a layout with nothing else, which is there until `RemoteImages.close`; null: there are none
 * @throws SealError `external` when the registry or skopeo fails; `input` for what is damaged or too large
 */
export async function copyReferrers(
  remote: RemoteImages,
  reference: string,
  { digest, artifactType }: { readonly digest: BlobDigest; readonly artifactType: string },
): Promise<string | null> {
  const repository = repositoryOf(reference, remote);
  const { manifests } = await listReferrers(repository, digest);
  const digests = new Set(
    manifests.filter((one) => mayBeOfType(one, artifactType)).map((one) => formatBlobDigest(one.digest)),
  );
  if (digests.size > REFERRER_LIMIT) {
    throw inputError(
      reference,
      `${digests.size} artifacts refer to the image, too many; give the bundles with --bundle`,
    );
  }
  let layout: string | null = null;
  for (const one of digests) {
    const subject = manifestAt(repository, one);
    const bytes = await manifestBySkopeo(subject, repository.options);
    if (parseReferrer(bytes, subject)?.artifactType !== artifactType) continue;
    const { config, layers } = parseManifest(bytes, subject);
    if ([config, ...layers].some(({ size }) => size > JSON_LIMIT)) throw inputError(subject, "is too large");
    layout ??= join(await remote.directory(), "referrers");
    await pullManifest(repository, one, layout);
  }
  return layout;
}

/**
 * Pushes attachments next to their images. Existing referrers are kept.
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
  const place = async (tag: string | null) => ({ layout: join(await remote.directory(), "pushed"), tag });
  const pushed: (StoredLayer & { readonly image: BlobDigest; readonly entry: JsonObject })[] = [];
  for (const attachment of attachments) {
    const referrer = await pushManifest(repository, await place(null), async (blobs) => {
      const { manifest, entry } = await writeReferrer(blobs, attachment);
      return { ...manifest, mediaType: MANIFEST_TYPE, image: attachment.image.digest, entry };
    });
    pushed.push(referrer);
  }
  for (const hex of new Set(pushed.map(({ image }) => image.hex))) {
    const [first, ...others] = pushed.filter(({ image }) => image.hex === hex);
    if (first === undefined) continue;
    // Read as late as can be: whoever pushes at the same time keeps this list too.
    const { isKept, index } = await listReferrers(repository, first.image);
    if (isKept) continue;
    const tag = referrersTag(first.image);
    const entries = [first, ...others].map(({ entry }) => entry);
    await pushManifest(repository, await place(tag), async (blobs) => ({
      ...(await blobs.add([formatJson(withReferrers(index, entries, tag))])),
      mediaType: INDEX_TYPE,
    }));
  }
  return pushed;
}
