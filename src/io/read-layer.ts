/** The entries of a layer of an image. */
import type { Layer, LayerTap } from "./layer.ts";
import { readTar, type TarEntry } from "./tar.ts";
import { unpackedLayer } from "./unpack.ts";

/**
 * The entries of a layer in order. When the last one was given, all digests have been checked. The content must be read, or left, before
 * the next entry is asked for; its pieces are valid until the next one is.
 * @throws SealError `input` for a layer that is damaged, unsuitable or not the one that the image names
 */
export async function* readLayer(
  layer: Layer,
  paxOwners: "count" | "ignored",
  tap?: LayerTap,
): AsyncGenerator<{ readonly entry: TarEntry; readonly content: AsyncIterable<Uint8Array> }> {
  const archive = unpackedLayer(layer, tap);
  try {
    yield* readTar(archive, { subject: layer.file.subject, negativeTimes: layer.negativeTimes, paxOwners });
    // What follows the end of the archive counts for the digests too.
    for await (const _ of archive);
  } finally {
    await archive.return(undefined);
  }
}
