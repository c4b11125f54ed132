/** Writes an image to where the user wants it: to a layout, or by way of one to a registry or store. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { SealError } from "../../errors.ts";
import type { BlobDigest } from "../../oci/digest.ts";
import { manifestKind } from "../../oci/media-types.ts";
import { parseIndex } from "../../oci/schemas.ts";
import { type ImageTarget, isLayout, type LayoutTarget, refuseIndex } from "./image-target.ts";
import { type AnyWritten, type ImageWork, writeOciImage } from "./image-writer.ts";
import type { RemoteImages } from "./remote-images.ts";

/** An image, or several, at its place. */
export type Placed<Written> = Written & {
  /**
   * Digest of the manifest or index there. It differs from the one that was written if layers were compressed on the
   * way or the store has its own format; null: docker's daemon, which makes its own.
   */
  readonly placed: BlobDigest | null;
};

export interface PushOptions<Written extends AnyWritten> {
  /** Takes it to registries and stores; without, they are refused. */
  readonly remote: RemoteImages | undefined;
  /**
   * Whether a registry gets each layer as it was written; else those that are not compressed are compressed on the way.
   */
  readonly asIs: (written: Written) => boolean;
}

/**
 * Writes an image as {@link writeOciImage} does. For a registry or store it is a layout in a temporary directory,
 * checked there like any other, and then copied by skopeo. On failure, and when a signal ends the process, nothing of
 * it stays on this disk.
 * @throws SealError as {@link writeOciImage}; `external` when skopeo is missing or fails
 */
export async function writeImageTo<Written extends AnyWritten>(
  target: ImageTarget,
  work: ImageWork<Written>,
  { remote, asIs }: PushOptions<Written>,
): Promise<Placed<Written>> {
  if (isLayout(target)) {
    const written = await writeOciImage(target, work);
    return { ...written, placed: "index" in written ? written.index.digest : written.manifest.digest };
  }
  const { subject } = target;
  if (remote === undefined) {
    throw new SealError("usage", `${subject}: is not on this disk; give oci:PATH and copy it with skopeo`);
  }
  // Minutes later it would be the same.
  await remote.check(target);
  const path = join(await remote.directory(), "image");
  const layout: LayoutTarget = { kind: "oci", path, tag: null, subject, isTemporary: true };
  const written = await writeOciImage(layout, work);
  const isIndex = await holdsIndex(path, subject);
  if (isIndex) refuseIndex(target);
  return { ...written, placed: await remote.put(path, target, { isIndex, asIs: asIs(written) }) };
}

/** Whether the one entry of a layout is an index. */
async function holdsIndex(layout: string, subject: string): Promise<boolean> {
  const { manifests } = parseIndex(await readFile(join(layout, "index.json")), `${subject}: index.json`);
  return manifests.some(({ mediaType }) => manifestKind(mediaType, subject) === "index");
}
