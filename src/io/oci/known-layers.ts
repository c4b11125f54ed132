/** What the cache knows of the layers of one image. */
import type { VerityAlgorithm } from "../../composefs/series.ts";
import { inputError } from "../../errors.ts";
import { formatBlobDigest } from "../../oci/digest.ts";
import type { LayerEntry } from "../../tree/build.ts";
import type { LayerContents } from "../../tree/layer-contents.ts";
import type { LayerObserver } from "../../tree/layer-observer.ts";
import { type CachedLayer, type CacheKey, SMALL_CONTENT } from "./cache-entry.ts";
import { compressionOf } from "./decompress.ts";
import type { Layer } from "./layer.ts";
import type { LayerCache } from "./layer-cache.ts";
import { readStored } from "./stored-file.ts";

/** How the layers are to be read. */
interface Reading {
  readonly algorithm: VerityAlgorithm | null;
  /** See `TransformRules.paxOwners`. */
  readonly paxOwners: "count" | "ignored";
}

interface KnownLayer {
  readonly key: CacheKey;
  /** Null: the cache has nothing about it. */
  readonly held: CachedLayer | null;
}

export class KnownLayers {
  readonly #cache: LayerCache | null;
  readonly #layers: readonly Layer[];
  readonly #known: readonly (KnownLayer | null)[];
  readonly #hasDigests: boolean;
  readonly #writing: Promise<void>[] = [];

  private constructor(
    cache: LayerCache | null,
    layers: readonly Layer[],
    known: readonly (KnownLayer | null)[],
    hasDigests: boolean,
  ) {
    this.#cache = cache;
    this.#layers = layers;
    this.#known = known;
    this.#hasDigests = hasDigests;
  }

  /**
   * @param cache undefined: nothing is known
   * @param use `fill`: nothing counts as known, but only what the cache does not know is remembered
   */
  static async of(
    layers: readonly Layer[],
    { algorithm, paxOwners }: Reading,
    cache: LayerCache | undefined,
    use: "take" | "fill" = "take",
  ): Promise<KnownLayers> {
    if (cache === undefined) return new KnownLayers(null, layers, [], true);
    const find = async (layer: Layer): Promise<KnownLayer | null> => {
      const digest = layer.digest ?? (await digestOfArchive(layer));
      if (digest === null || layer.diffId === null) return null;
      // Who needs no digests is served by an entry with digests.
      const key = { digest, mediaType: layer.mediaType, algorithm: algorithm ?? "sha512", paxOwners };
      if (use === "fill") return (await cache.has(key)) ? null : { key, held: null };
      const held = await cache.get(key);
      // Digests of two algorithms can't be compared; the layer is read then.
      const isComparable = held?.diffId.algorithm === layer.diffId.algorithm;
      return { key, held: isComparable ? held : null };
    };
    const known: (KnownLayer | null)[] = [];
    for (const layer of layers) known.push(await find(layer));
    return new KnownLayers(cache, layers, known, algorithm !== null);
  }

  /** The layer as it must be hashed before {@link contents} may be used; null: it has to be read. */
  toHash(number: number): (Layer & { readonly digest: CacheKey["digest"] }) | null {
    const known = this.#known[number];
    const layer = this.#layers[number];
    return known?.held && layer ? { ...layer, digest: known.key.digest } : null;
  }

  /**
   * What a layer of {@link toHash} holds.
   * @param wants which of the small contents are given that reading would have kept
   * @throws SealError `input` when the configuration says of the archive in it what it is not
   */
  async contents(number: number, wants: LayerObserver["wants"]): Promise<LayerContents> {
    const { key, held } = this.#of(number);
    const { file, diffId } = this.#layers[number] as Layer;
    if (diffId !== null && diffId.hex !== held.diffId.hex) {
      throw inputError(
        file.subject,
        `the unpacked layer has the digest ${formatBlobDigest(held.diffId)}, not ${formatBlobDigest(diffId)}: the image is damaged or was changed`,
      );
    }
    const { compression, isOnePart, entries } = held;
    const wanted: number[] = [];
    for (const [entry, { content }] of held.contents) {
      const { path } = entries[entry] as LayerEntry;
      if (content.size <= SMALL_CONTENT && wants(path, content.size)) wanted.push(entry);
    }
    const contents = (await this.#cache?.contents(key, held, wanted)) ?? new Map<number, Uint8Array>();
    return { compression, isOnePart, entries: this.#hasDigests ? entries : entries.map(withoutDigest), contents };
  }

  /** A content of a layer of {@link toHash}; null: the cache has it not, or damaged. */
  async content(number: number, entry: number): Promise<Uint8Array | null> {
    const known = this.#known[number];
    if (!known?.held) return null;
    const found = await this.#cache?.contents(known.key, known.held, [entry]);
    return found?.get(entry) ?? null;
  }

  /** Remembers a layer that was read, with all contents that the cache wants. It is written meanwhile. */
  remember(number: number, contents: LayerContents): void {
    const known = this.#known[number];
    const { diffId } = this.#layers[number] as Layer;
    if (this.#cache === null || !known || diffId === null || !this.#hasDigests) return;
    this.#writing.push(this.#cache.put(known.key, diffId, contents));
  }

  /** Waits until all is written. */
  async settle(): Promise<void> {
    await Promise.all(this.#writing.splice(0));
    await this.#cache?.clean();
  }

  #of(number: number): { readonly key: CacheKey; readonly held: CachedLayer } {
    const known = this.#known[number];
    if (!known?.held) throw new Error(`nothing is known of layer ${number}`);
    return { key: known.key, held: known.held };
  }
}

/** The digest of a layer that no manifest names: of one that is not packed it is that of its archive. */
async function digestOfArchive({ file, diffId }: Layer): Promise<CacheKey["digest"] | null> {
  return compressionOf(await readStored(file, 0, Math.min(4, file.size))) === "none" ? diffId : null;
}

function withoutDigest(entry: LayerEntry): LayerEntry {
  const { item } = entry;
  if (item.kind !== "regular" || item.content.kind === "inline") return entry;
  return { ...entry, item: { kind: "regular", content: { ...item.content, digest: null, payload: null } } };
}
