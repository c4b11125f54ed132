/**
 * What layers hold that this run has read: where the same bytes are elsewhere, it is enough to hash them there. It is
 * never filled from anything but layers that were read and whose digests were right. What this run wrote is only
 * compared with what is read.
 */
import type { Chunks } from "../../chunks.ts";
import type { VerityAlgorithm } from "../../composefs/series.ts";
import { type BlobDigest, formatBlobDigest } from "../../oci/digest.ts";
import type { LayerEntry } from "../../tree/build.ts";
import { decodeLayer, encodeLayer } from "../../tree/layer-codec.ts";
import type { LayerContents } from "../../tree/layer-contents.ts";
import { isNeeded } from "./kept-contents.ts";
import type { Layer } from "./layer.ts";
import type { LayerStack } from "./layer-stack.ts";
import type { LayerReading } from "./read-contents.ts";
import { type WrittenContents, writtenContents } from "./written-contents.ts";

/** Bytes of all that is remembered but for contents. Half a million files take so much. */
const LIMIT = 128 << 20;

interface Remembered {
  /** See {@link encodeLayer}: a small part of what the objects take. */
  readonly entries: Uint8Array;
  /** Those that digests depend on. */
  readonly contents: LayerContents["contents"];
}

/** Layers that were read together. */
interface RememberedStack {
  readonly keys: readonly string[];
  readonly stack: LayerStack;
}

/** What this run has read of layers. */
export class LayerMemory {
  readonly #keeps: "layers" | "trees";
  readonly #layers = new Map<string, Remembered>();
  readonly #stacks: RememberedStack[] = [];
  readonly #written = new Map<VerityAlgorithm, WrittenContents>();
  #left = LIMIT;

  /**
   * @param keeps `layers`: what each layer holds, in little memory. `trees`: what all layers of an image make, which
   *   serves whatever has the same layers and others on top; for trees that are in memory in any case.
   */
  constructor(keeps: "layers" | "trees" = "layers") {
    this.#keeps = keeps;
  }

  /**
   * Of contents it keeps those that digests depend on; others are read again where they are needed.
   * @param contents of a layer that was read and has all digests that its image names
   */
  remember(layer: Layer, reading: LayerReading, { contents, ...entries }: LayerContents): void {
    const key = this.#keeps === "layers" ? keyOf(layer, reading) : null;
    if (key === null || this.#layers.has(key)) return;
    const encoded = encodeLayer(entries);
    if (encoded.length > this.#left) return;
    this.#left -= encoded.length;
    this.#layers.set(key, { entries: encoded, contents: new Map(contentsForDigests(entries.entries, contents)) });
  }

  knows(layer: Layer, reading: LayerReading): boolean {
    return this.#layers.has(keyOf(layer, reading) ?? "");
  }

  /** What a layer holds that has the digest of its blob, which has to be found out first; null: that is not known. */
  recall(layer: Layer, reading: LayerReading): LayerContents | null {
    const known = this.#layers.get(keyOf(layer, reading) ?? "");
    if (known === undefined) return null;
    return { ...decodeLayer(known.entries, layer.file.subject), contents: known.contents };
  }

  /**
   * Remembers what all layers of an image make.
   * @param layers which were read and have all digests that the image names, lowest first
   * @internal
   */
  rememberStack(layers: readonly Layer[], reading: LayerReading, stack: LayerStack): void {
    const keys = this.#keeps === "trees" ? keysOf(layers, reading) : null;
    if (keys !== null) this.#stacks.push({ keys, stack });
  }

  /**
   * What the lowest of these layers make, each of which has to have the digest of its blob; null: that is not known.
   * @param layers lowest first
   * @internal
   */
  recallStack(layers: readonly Layer[], reading: LayerReading): LayerStack | null {
    const known = this.#stacks.find(({ keys }) =>
      keys.every((key, index) => {
        const layer = layers[index];
        return layer !== undefined && keyOf(layer, reading) === key;
      }),
    );
    return known?.stack ?? null;
  }

  /**
   * Remembers contents of a layer that was written, with trees, next to which they are little.
   * @param digests of contents
   * @internal
   */
  rememberWritten(
    entries: readonly LayerEntry<Chunks>[],
    digests: ReadonlyMap<Chunks, Uint8Array>,
    algorithm: VerityAlgorithm,
  ): void {
    if (this.#keeps === "trees") this.#written.set(algorithm, writtenContents(entries, digests));
  }

  /**
   * Contents that were written, with digests that this reading has for the same bytes; null: none.
   * @internal
   */
  written({ algorithm }: Pick<LayerReading, "algorithm">): WrittenContents | null {
    return (algorithm === null ? null : this.#written.get(algorithm)) ?? null;
  }
}

function keysOf(layers: readonly Layer[], reading: LayerReading): readonly string[] | null {
  const keys: string[] = [];
  for (const layer of layers) {
    const key = keyOf(layer, reading);
    if (key === null) return null;
    keys.push(key);
  }
  return keys;
}

/** What a second reading is for: kernels would fill the memory until then, those of all platforms of an index. */
function contentsForDigests(entries: LayerContents["entries"], contents: LayerContents["contents"]) {
  return [...contents].filter(([index, bytes]) => {
    const entry = entries[index];
    return entry !== undefined && isNeeded(entry.path, BigInt(bytes.length), "digest");
  });
}

/** All that what is read of a layer depends on; null: that has to be found out by reading it. */
function keyOf({ digest, diffId, negativeTimes }: Layer, { algorithm, paxOwners }: LayerReading): string | null {
  if (digest === null || diffId === null) return null;
  const digests: readonly BlobDigest[] = [digest, diffId];
  return [...digests.map(formatBlobDigest), negativeTimes, algorithm, paxOwners].join(" ");
}
