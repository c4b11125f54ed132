/**
 * Layers that are packed anew on the way from one image into another: the same archives, in a form that
 * more readers unpack.
 */
import { availableParallelism } from "node:os";
import type { StoredLayer } from "../../oci/edit.ts";
import { LAYER_TYPE } from "../../oci/media-types.ts";
import { compressed } from "./compress.ts";
import { type Compression, compressionOf } from "./decompress.ts";
import type { StagedImage } from "./image-writer.ts";
import { type Layer, unpackLayer } from "./layer.ts";
import { readStored } from "./stored-file.ts";

/** Layers that are unpacked and packed at the same time, at most. */
const PARALLEL_LAYERS = 4;

/**
 * Packs layers as they were packed, each in one gzip member or Zstandard frame, at the usual level. The same
 * archive gives the same bytes with the same release of node on the same kind of machine: the headers of gzip have
 * no name and no time.
 * @param image the one that they go into
 * @param onProgress called with the bytes of the old layers that have been read, and their share of all
 * @returns in their order
 * @throws SealError `input` for what can't be read or written, and for a layer that is damaged
 */
export async function rewriteLayers(
  layers: readonly Layer[],
  { blobs }: Pick<StagedImage, "blobs">,
  onProgress: (bytes: number, share: number) => void,
): Promise<readonly StoredLayer[]> {
  const written: StoredLayer[] = [];
  const read = layers.map(() => 0);
  const total = layers.reduce((sum, { file }) => sum + file.size, 1);
  const failures: unknown[] = [];
  let next = 0;
  const rewrite = async (layer: Layer, index: number): Promise<StoredLayer> => {
    const kind: Compression = compressionOf(await readStored(layer.file, 0, 4));
    const onStored = (bytes: number) => {
      // Another layer has failed: this one is no longer needed.
      if (failures.length > 0) throw failures[0];
      read[index] = bytes;
      const sum = read.reduce((all, one) => all + one, 0);
      onProgress(sum, Math.min(sum / total, 1));
    };
    const archive = owned(unpackLayer(layer, { stored: onStored }));
    const blob = await blobs.add(compressed(archive, { kind, level: null }));
    return { ...blob, mediaType: kind === "none" ? LAYER_TYPE : `${LAYER_TYPE}+${kind}` };
  };
  const work = async () => {
    try {
      for (let index = next++; index < layers.length && failures.length === 0; index = next++) {
        const layer = layers[index];
        if (layer !== undefined) written[index] = await rewrite(layer, index);
      }
    } catch (error) {
      failures.push(error);
    }
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL_LAYERS, availableParallelism()) }, work));
  if (failures.length > 0) throw failures[0];
  return written;
}

/** Copies of chunks whose memory is used again while the compressor still reads them. */
async function* owned(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) yield Uint8Array.from(chunk);
}
