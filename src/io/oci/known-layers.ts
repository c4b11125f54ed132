/** What the cache knows of the layers of one image. */
import type { VerityAlgorithm } from "../../composefs/series.ts";
import { inputError } from "../../errors.ts";
import { type BlobDigest, formatBlobDigest } from "../../oci/digest.ts";
import type { LayerEntry } from "../../tree/build.ts";
import type { LayerContents } from "../../tree/layer-contents.ts";
import type { LayerObserver } from "../../tree/layer-observer.ts";
import { type CachedLayer, type CacheKey, SMALL_CONTENT } from "./cache-entry.ts";
import { compressionOf } from "./decompress.ts";
import type { Layer } from "./layer.ts";
import type { LayerCache } from "./layer-cache.ts";
import type { LayerStack } from "./layer-stack.ts";
import { stackKeys } from "./stack-cache.ts";
import { readStored } from "./stored-file.ts";

/** How the layers are to be read. */
interface Reading {
  readonly algorithm: VerityAlgorithm | null;
  /** See `TransformRules.paxOwners`. */
  readonly paxOwners: "count" | "ignored";
}

interface KnownLayer {
  readonly key: CacheKey;
  /** Null: the cache has nothing about it; undefined: that has not been looked up. */
  held: CachedLayer | null | undefined;
}

/** What is done with a cache. */
export interface CacheUse {
  /** Undefined: nothing is known. */
  readonly cache: LayerCache | undefined;
  /**
   * `fill`: nothing counts as known, but only what the cache does not know is remembered. Default: `take`.
   */
  readonly use: "take" | "fill" | undefined;
  /** Whether it is enough to know what the lowest layers make together. */
  readonly takesStacks: boolean;
}

/** How many layers it takes for a tree of them to be worth a file. */
const STACK_MIN = 2;

export class KnownLayers {
  /** What the lowest layers make, of which nothing else is looked up; null: that is not known. */
  readonly stack: LayerStack | null;
  /**
   * Of how many layers the cache should have the tree: of the lowest ones that it knows, for these may come again under
   * others; of all of a new image. Null: it has that.
   */
  readonly worthKeeping: number | null;
  readonly #cache: LayerCache | null;
  readonly #layers: readonly Layer[];
  readonly #known: readonly (KnownLayer | null)[];
  /** Of the trees of the lowest layers, by their number; see `stackKeys`. */
  readonly #stackKeys: readonly Uint8Array[];
  readonly #hasDigests: boolean;
  readonly #writing: Promise<void>[] = [];

  private constructor(
    {
      cache,
      layers,
      known,
      stackKeys,
      hasDigests,
    }: {
      readonly cache: LayerCache | null;
      readonly layers: readonly Layer[];
      readonly known: readonly (KnownLayer | null)[];
      readonly stackKeys: readonly Uint8Array[];
      readonly hasDigests: boolean;
    },
    stack: LayerStack | null,
  ) {
    this.stack = stack;
    this.#cache = cache;
    this.#layers = layers;
    this.#known = known;
    this.#stackKeys = stackKeys;
    this.#hasDigests = hasDigests;
    const firstNew = layers.findIndex((_, number) => this.toHash(number) === null);
    const wanted = firstNew >= STACK_MIN ? firstNew : layers.length;
    const isPossible = wanted >= STACK_MIN && wanted <= stackKeys.length;
    this.worthKeeping = isPossible && wanted > (stack?.forms.length ?? 0) ? wanted : null;
  }

  /** Looks up what is known. */
  static async of(
    layers: readonly Layer[],
    { algorithm, paxOwners }: Reading,
    { cache, use = "take", takesStacks }: CacheUse,
  ): Promise<KnownLayers> {
    const hasDigests = algorithm !== null;
    if (cache === undefined) {
      return new KnownLayers({ cache: null, layers, known: [], stackKeys: [], hasDigests: true }, null);
    }
    const known: (KnownLayer | null)[] = [];
    for (const layer of layers) {
      const digest = layer.digest ?? (await digestOfArchive(layer));
      // Who needs no digests is served by an entry with digests.
      const key = { mediaType: layer.mediaType, algorithm: algorithm ?? "sha512", paxOwners };
      known.push(digest === null || layer.diffId === null ? null : { key: { ...key, digest }, held: undefined });
    }
    const keys = takesStacks && hasDigests && use === "take" ? keysOf(layers, known) : [];
    let used = 0;
    const stack = await cache.stacks.find(keys, (count) => {
      used = count;
    });
    for (const layer of known.slice(0, used)) if (layer !== null) await cache.noteUse(layer.key);
    for (const [index, layer] of known.entries()) {
      if (layer === null || index < (stack?.forms.length ?? 0)) continue;
      if (use === "fill") {
        if (await cache.has(layer.key)) known[index] = null;
        else layer.held = null;
      } else layer.held = await lookUp(cache, layer.key, layers[index] as Layer);
    }
    return new KnownLayers({ cache, layers, known, stackKeys: keys, hasDigests }, stack);
  }

  /** Has the cache keep the tree of the lowest layers, which have their digests. */
  async keepStack(stack: LayerStack): Promise<void> {
    const key = this.#stackKeys[stack.forms.length - 1];
    if (key === undefined) return;
    await this.#cache?.stacks.keep(key, stack);
    await this.#cache?.clean();
  }

  /** The layer as it must be hashed before {@link contents} may be used; null: it has to be read. */
  toHash(number: number): (Layer & { readonly digest: CacheKey["digest"] }) | null {
    const known = this.#known[number];
    const layer = this.#layers[number];
    const isKnown = number < (this.stack?.forms.length ?? 0) || known?.held;
    return known && layer && isKnown ? { ...layer, digest: known.key.digest } : null;
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
    const cache = this.#cache;
    if (!known || cache === null) return null;
    if (known.held === undefined) known.held = await lookUp(cache, known.key, this.#layers[number] as Layer);
    const found = known.held === null ? null : await cache.contents(known.key, known.held, [entry]);
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

/** What a cache knows of a layer; null: nothing. */
async function lookUp(cache: LayerCache, key: CacheKey, { diffId }: Layer): Promise<CachedLayer | null> {
  const held = await cache.get(key);
  // Digests of two algorithms can't be compared; the layer is read then.
  return held?.diffId.algorithm === diffId?.algorithm ? held : null;
}

/** See {@link stackKeys}; of the lowest layers that can have any. */
function keysOf(layers: readonly Layer[], known: readonly (KnownLayer | null)[]): readonly Uint8Array[] {
  const parts: { readonly key: CacheKey; readonly diffId: BlobDigest }[] = [];
  for (const [index, layer] of known.entries()) {
    const diffId = layers[index]?.diffId ?? null;
    if (layer === null || diffId === null) break;
    parts.push({ key: layer.key, diffId });
  }
  return stackKeys(parts);
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
