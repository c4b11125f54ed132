/** Attaches something to images of a layout: their manifests stay as they are, and so does all else in the layout. */
import { realpath } from "node:fs/promises";
import { inputError } from "../../errors.ts";
import { formatBlobDigest } from "../../oci/digest.ts";
import { type Blob, copyEntry } from "../../oci/edit.ts";
import type { JsonObject } from "../../oci/json.ts";
import { manifestKind } from "../../oci/media-types.ts";
import { withReferrers } from "../../oci/referrer.ts";
import { type Descriptor, parseIndex, parseManifest } from "../../oci/schemas.ts";
import { type Attachment, type WrittenReferrer, writeReferrer } from "./attachment.ts";
import { type BlobWriter, blobPath } from "./blob-writer.ts";
import type { LayoutTarget } from "./image-target.ts";
import { writeLayout } from "./image-writer.ts";
import { INDEX_DEPTH, readBlob } from "./oci-layout.ts";
import type { FoundImages } from "./referrers.ts";
import type { CopyProgress } from "./remote-images.ts";
import { storedPieces } from "./stored-file.ts";

/**
 * Writes attachments next to their images: into the images' layout, or with a copy of them into another one.
 * @param archiving called when an archive is started, for its progress
 * @returns digests of the new manifests
 * @throws SealError `input` when something else is at the target, or it can't be written
 */
export async function attach(
  found: FoundImages,
  target: LayoutTarget,
  attachments: readonly Attachment[],
  archiving: () => CopyProgress,
): Promise<readonly Blob[]> {
  const isSame = await isSameLayout(found, target);
  const { entry } = found;
  const withCopy = (index: JsonObject, subject: string) =>
    isSame || entry === null ? index : copyEntry(index, entry, target.tag, subject);
  if (!isSame && entry === null) {
    throw inputError(
      found.store.subject,
      "has an image for each platform but no index of them; choose one with --platform",
    );
  }
  const { manifests } = await writeLayout(
    target,
    {
      archiving,
      check: async () => {},
      write: async ({ blobs }) => {
        if (!isSame && entry !== null) await copyBlobs(found, entry, blobs, 0);
        const added: WrittenReferrer[] = [];
        for (const one of attachments) added.push(await writeReferrer(blobs, one));
        return { manifests: added.map(({ manifest }) => manifest), entries: added.map(({ entry }) => entry) };
      },
    },
    {
      edit: (index, { entries }, subject) => withReferrers(withCopy(index, subject), entries, subject),
      refuse: (index, subject) => {
        withCopy(index, subject);
      },
    },
  );
  return manifests;
}

async function isSameLayout({ source, path }: FoundImages, target: LayoutTarget): Promise<boolean> {
  if (source.kind !== "oci" || target.kind !== "oci" || target.tag !== source.reference) return false;
  const other = await realpath(target.path).catch(() => target.path);
  return (await realpath(path)) === other;
}

/** Copies what an entry leads to. The digests of layers are checked by whoever reads the image, which has been done. */
async function copyBlobs(found: FoundImages, entry: Descriptor, blobs: BlobWriter, depth: number): Promise<void> {
  const { store } = found;
  const subject = `${store.subject}: ${formatBlobDigest(entry.digest)}`;
  const bytes = await readBlob(store, entry);
  await blobs.add([bytes], entry.digest);
  if (manifestKind(entry.mediaType, subject) === "index") {
    if (depth === INDEX_DEPTH) throw new Error(`${subject}: is an index without an end, though it was read`);
    for (const one of parseIndex(bytes, subject).manifests) await copyBlobs(found, one, blobs, depth + 1);
    return;
  }
  const { config, layers } = parseManifest(bytes, subject);
  for (const { digest } of [config, ...layers]) {
    const file = await store.find(blobPath(digest));
    if (!(await blobs.takeOver(file, digest))) await blobs.add(storedPieces(file), digest);
  }
}
