/** Writes planned layers as blobs of an image, several at a time. */
import { createHash } from "node:crypto";
import { availableParallelism } from "node:os";
import type { HistoryEntry, ImageLayer } from "../../oci/edit.ts";
import { LAYER_TYPE } from "../../oci/media-types.ts";
import { contentSize } from "../../tree/node.ts";
import type { BlobWriter } from "./blob-writer.ts";
import { type CompressionChoice, compressed } from "./compress.ts";
import { layerArchive, type ReadContent } from "./layer-archive.ts";
import type { PlannedLayer } from "./layer-plan.ts";

export interface FreshLayersOptions {
  readonly readContent: ReadContent;
  readonly compression: CompressionChoice;
  /** The root filesystem in messages. */
  readonly subject: string;
  /** What the configuration says of each of them. */
  readonly history: HistoryEntry;
  /** Called with the unpacked bytes of all layers so far, and the share of all contents that they are, about. */
  readonly onProgress?: (bytes: number, share: number) => void;
}

/**
 * @returns in the order of the plan
 * @throws SealError `input` as {@link layerArchive}
 */
export async function writeLayers(
  blobs: BlobWriter,
  layers: readonly PlannedLayer[],
  options: FreshLayersOptions,
): Promise<readonly ImageLayer[]> {
  const written: ImageLayer[] = [];
  let next = 0;
  let bytes = 0;
  const files = layers.flatMap((layer) =>
    layer.flatMap(({ file }) => (file === null ? [] : [Number(contentSize(file))])),
  );
  const total = files.reduce((sum, size) => sum + size, 1);
  const failures: unknown[] = [];
  const progress = (length: number) => {
    // Another layer has failed: this one is no longer needed.
    if (failures.length > 0) throw failures[0];
    bytes += length;
    options.onProgress?.(bytes, Math.min(bytes / total, 1));
  };
  const work = async () => {
    try {
      for (let index = next++; index < layers.length; index = next++) {
        written[index] = await writeLayer(blobs, layers[index] ?? [], options, progress);
      }
    } catch (error) {
      failures.push(error);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  if (failures.length > 0) throw failures[0];
  return written;
}

async function writeLayer(
  blobs: BlobWriter,
  layer: PlannedLayer,
  { readContent, compression, subject, history }: FreshLayersOptions,
  progress: (length: number) => void,
): Promise<ImageLayer> {
  const hash = createHash("sha256");
  const hashed = function* (archive: Iterable<Uint8Array>) {
    for (const chunk of archive) {
      hash.update(chunk);
      progress(chunk.length);
      yield chunk;
    }
  };
  const blob = await blobs.add(compressed(hashed(layerArchive(layer, readContent, subject)), compression));
  const mediaType = compression.kind === "none" ? LAYER_TYPE : `${LAYER_TYPE}+${compression.kind}`;
  return { ...blob, mediaType, diffId: { algorithm: "sha256", hex: hash.digest("hex") }, history };
}
