/** The entries of a layer of an image. */

import { readTar, type TarEntry } from "../tar/read.ts";
import type { Layer } from "./layer.ts";

/**
 * The entries of a layer in order. When the last one was given, all digests have been checked. The content must be read, or left, before
 * the next entry is asked for; its pieces are valid until the next one is.
 * @param archive the archive in the layer, see `unpackLayer`
 * @throws SealError `input` for a layer that is damaged, unsuitable or not the one that the image names
 */
export async function* readLayer(
  { file: { subject }, negativeTimes }: Layer,
  archive: AsyncGenerator<Uint8Array>,
  paxOwners: "count" | "ignored",
): AsyncGenerator<{ readonly entry: TarEntry; readonly content: AsyncIterable<Uint8Array> }> {
  try {
    yield* readTar(archive, { subject, negativeTimes, paxOwners });
    // What follows the end of the archive counts for the digests too.
    for await (const _ of archive);
  } finally {
    await archive.return(undefined);
  }
}
