/** Layers that go from one image into another, byte for byte. */
import type { StoredLayer } from "../../oci/edit.ts";
import { LAYER_TYPE } from "../../oci/media-types.ts";
import { compressionOf } from "./decompress.ts";
import type { StagedImage } from "./image-writer.ts";
import type { Layer } from "./layer.ts";
import { readStored, storedPieces } from "./stored-file.ts";

/**
 * Copies layers. Those that have a digest keep it unchecked: it is for the reader of the new image to check.
 * @param image the one that they go into
 * @param signal ends the work
 * @returns the copies. Their media types say what they are, whatever the image that they come from says.
 * @throws SealError `input` for what can't be read or written; the reason of the signal
 */
export async function carryLayers(
  layers: readonly Layer[],
  { blobs }: Pick<StagedImage, "blobs">,
  signal?: AbortSignal,
): Promise<readonly StoredLayer[]> {
  const copies: StoredLayer[] = [];
  for (const { digest, file } of layers) {
    const isThere = digest !== null && (await blobs.takeOver(file, digest));
    const blob = isThere
      ? { digest, size: file.size }
      : await blobs.add(untilAborted(storedPieces(file), signal), digest ?? "sha256");
    const compression = compressionOf(await readStored(file, 0, 4));
    copies.push({ ...blob, mediaType: compression === "none" ? LAYER_TYPE : `${LAYER_TYPE}+${compression}` });
  }
  return copies;
}

async function* untilAborted(pieces: AsyncIterable<Uint8Array>, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    signal?.throwIfAborted();
    yield piece;
  }
}
