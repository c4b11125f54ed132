/**
 * What layers hold that this run has read: where the same bytes lie somewhere else, it is enough to hash them there. It is never filled from anything but
 * layers that were read and whose digests were right.
 */
import { type BlobDigest, formatBlobDigest } from "../../oci/digest.ts";
import { decodeLayer, encodeLayer } from "../../tree/layer-codec.ts";
import type { LayerContents } from "../../tree/layer-contents.ts";
import type { Layer } from "./layer.ts";
import type { LayerReading } from "./read-contents.ts";

/** Bytes of all that is remembered but for contents, which those have in memory anyway who read the layers. Half a million files take so much. */
const LIMIT = 128 << 20;

interface Remembered {
  /** See {@link encodeLayer}: a small part of what the objects take. */
  readonly entries: Uint8Array;
  readonly contents: LayerContents["contents"];
}

export class LayerMemory {
  readonly #layers = new Map<string, Remembered>();
  #left = LIMIT;

  /** @param contents of a layer that was read and has all digests that its image names */
  remember(layer: Layer, reading: LayerReading, { contents, ...entries }: LayerContents): void {
    const key = keyOf(layer, reading);
    if (key === null || this.#layers.has(key)) return;
    const encoded = encodeLayer(entries);
    if (encoded.length > this.#left) return;
    this.#left -= encoded.length;
    this.#layers.set(key, { entries: encoded, contents });
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
}

/** All that what is read of a layer depends on; null: that has to be found out by reading it. */
function keyOf({ digest, diffId, negativeTimes }: Layer, { algorithm, paxOwners }: LayerReading): string | null {
  if (digest === null || diffId === null) return null;
  const digests: readonly BlobDigest[] = [digest, diffId];
  return [...digests.map(formatBlobDigest), negativeTimes, algorithm, paxOwners].join(" ");
}
