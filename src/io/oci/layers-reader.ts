/** Reads the layers of one image: what is known of them from the cache or from this run, and the rest from the layers. */
import { displayBytes } from "../../bytes.ts";
import { verityDigest } from "../../composefs/verity.ts";
import { inputError } from "../../errors.ts";
import type { LayerForm } from "../../oci/layer-form.ts";
import type { BuildWatcher, LayerEntry } from "../../tree/build.ts";
import type { LayerContents } from "../../tree/layer-contents.ts";
import type { LayerObserver } from "../../tree/layer-observer.ts";
import { type Directory, type ExternalContent, type RegularFile, splitPath } from "../../tree/node.ts";
import type { LabelStore, Rootfs } from "../../tree/rootfs.ts";
import type { ContentPlace } from "../../tree/tree-codec.ts";
import type { ScanOptions, ScanStats } from "../scan.ts";
import type { ContentNeeds } from "./kept-contents.ts";
import { KnownLayers } from "./known-layers.ts";
import type { Layer } from "./layer.ts";
import type { LayerCache } from "./layer-cache.ts";
import type { LayerMemory } from "./layer-memory.ts";
import { type LayerStack, NO_LAYERS } from "./layer-stack.ts";
import type { LayerThread } from "./layer-thread.ts";
import { earlyThread, type LayerTask, LayerThreads } from "./layer-threads.ts";
import type { ReadBack } from "./read-back.ts";
import { type LayerReading, type ReadSince, readAgain } from "./read-contents.ts";

/** A file that is read whole. */
const READ_LIMIT = 1n << 30n;

export interface LayersOptions extends Pick<ScanOptions, "algorithm" | "jobs" | "onProgress"> {
  /** The root filesystem in messages. */
  readonly subject: string;
  /** See `TransformRules.paxOwners`. */
  readonly paxOwners: "count" | "ignored";
  /** `layers`: of an image; `mounted`: an archive of a root filesystem. */
  readonly view: Rootfs["view"];
  /** With one, a directory that no layer describes is not an error: the observer is notified. */
  readonly observer?: LayerObserver | undefined;
  /** Ends the reading with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** What contents are kept for; default: all. */
  readonly needs?: ContentNeeds | undefined;
  /** What layers are known to hold; without, all are read. */
  readonly cache?: LayerCache | undefined;
  /** See `OpenOptions`. */
  readonly cacheUse?: "take" | "fill" | undefined;
  /** See `OpenOptions`. */
  readonly memory?: LayerMemory | undefined;
  /** See `OpenOptions`. */
  readonly readBack?: ReadBack | undefined;
}

export class LayersReader {
  readonly stats: ScanStats = { files: 0, directories: 0, bytesHashed: 0 };
  /** What the lowest layers make, which were read before. An observer sees all, so there are none with one. */
  readonly below: LayerStack;
  /** See `Rootfs.headersDiffer`. */
  headersDiffer: boolean;
  readonly #layers: readonly Layer[];
  readonly #options: LayersOptions;
  readonly #reading: LayerReading;
  readonly #known: KnownLayers;
  /** It has started while the cache was read. */
  #early: LayerThread | null;
  readonly #places = new Map<RegularFile["content"], ContentPlace>();
  readonly #kept = new Map<RegularFile["content"], Uint8Array>();
  #knownFiles: number;
  #knownDirectories: number;
  #noted: LayerStack | null = null;

  private constructor(
    layers: readonly Layer[],
    options: LayersOptions,
    reading: LayerReading,
    known: KnownLayers,
    early: LayerThread | null,
  ) {
    this.#layers = layers;
    this.#options = options;
    this.#reading = reading;
    this.#known = known;
    this.#early = early;
    const { memory, observer } = options;
    const remembered = observer === undefined ? memory?.recallStack(layers, reading) : null;
    this.below = [remembered, known.stack].reduce(
      (most: LayerStack, one) => (one && one.forms.length > most.forms.length ? one : most),
      NO_LAYERS,
    );
    this.headersDiffer = this.below.headersDiffer;
    this.#knownFiles = this.below.files;
    this.#knownDirectories = this.below.directories;
  }

  /** Looks up what is known of layers. @param layers lowest first */
  static async of(layers: readonly Layer[], options: LayersOptions): Promise<LayersReader> {
    const { algorithm, paxOwners, needs = "all", cache, cacheUse, jobs, observer, signal } = options;
    // What the cache is given serves every later run.
    const reading = { algorithm, paxOwners, needs: cache === undefined ? needs : "all" };
    const early = cache !== undefined && layers.length > 1 ? earlyThread(sizeOf(layers), jobs) : null;
    try {
      const known = await KnownLayers.of(layers, reading, {
        cache,
        use: cacheUse,
        takesStacks: observer === undefined,
      });
      signal?.throwIfAborted();
      return new LayersReader(layers, options, reading, known, early);
    } catch (error) {
      early?.dismiss();
      throw error;
    }
  }

  /** As for layers: none are taken where all are read in any case. */
  get labels(): LabelStore | undefined {
    const { cache, cacheUse } = this.#options;
    return cacheUse === "fill" ? undefined : cache?.labels;
  }

  /** Passes on what a tree builder sees. @param current number of the layer whose entries are added */
  watcher(observer: LayerObserver, current: () => number): BuildWatcher {
    const display = (path: string) => displayBytes(Buffer.from(path, "latin1"));
    return {
      hidden: (path, content) => {
        const place = this.#places.get(content);
        if (place === undefined) return;
        observer.hidden({ layer: place.layer, hiddenBy: current(), path: display(path), content });
      },
      implied: (path) => observer.implied(current(), display(path)),
    };
  }

  /** Of how many layers the cache should have the tree; null: of none. */
  get worthKeeping(): number | null {
    return this.#known.worthKeeping;
  }

  /** Notes the tree that the layers make which have been read by now. @param forms theirs */
  noteTree(root: Directory, forms: readonly LayerForm[]): void {
    this.#noted = this.#stackOf(root, [...forms], { files: this.#knownFiles, directories: this.#knownDirectories });
  }

  #stackOf(root: Directory, forms: readonly LayerForm[], counts: Pick<ScanStats, "files" | "directories">): LayerStack {
    const { headersDiffer } = this;
    const placeOf = (content: RegularFile["content"]) => this.#placeOf(content);
    return { ...counts, root, forms, headersDiffer, placeOf, kept: this.#kept };
  }

  #placeOf(content: RegularFile["content"]): ContentPlace | undefined {
    return this.#places.get(content) ?? this.below.placeOf(content);
  }

  /** Keeps what was read, when all has been checked. @param root what all layers make */
  async remember(root: Directory, forms: readonly LayerForm[]): Promise<void> {
    const { files, directories } = this.stats;
    const stack = this.#stackOf(root, forms, { files, directories });
    if (this.below === NO_LAYERS) this.#options.memory?.rememberStack(this.#layers, this.#reading, stack);
    if (this.worthKeeping !== null) await this.#known.keepStack(this.#noted ?? stack);
  }

  /**
   * Reads all layers, but for those of {@link below}, which are only hashed; what the others hold comes in order.
   * @param finish called when all has come, and before all is checked
   */
  async readAll<Result>(
    add: (contents: LayerContents, layer: number) => void,
    finish: () => Promise<Result>,
  ): Promise<Result> {
    const { jobs, signal, onProgress, memory, readBack } = this.#options;
    const lowest = this.below.forms.length;
    const known = this.#known;
    const early = this.#early;
    this.#early = null;
    const tasks = this.#layers.map((layer, number): LayerTask => {
      const toHash = known.toHash(number);
      const isKnown = number < lowest || toHash !== null || memory?.knows(layer, this.#reading) === true;
      const elsewhere = isKnown ? (readBack?.of(layer) ?? null) : null;
      return { layer: toHash ?? layer, isKnown, elsewhere };
    });
    const toRead = tasks.reduce((sum, { layer, elsewhere }) => sum + (elsewhere ? 0 : layer.file.size), 0);
    const wants: LayerObserver["wants"] = (path, bytes) => this.#options.observer?.wants(path, bytes) === true;
    let current = Math.max(lowest - 1, 0);
    const threads = new LayerThreads(tasks, this.#reading, {
      jobs,
      early,
      written: memory?.written(this.#reading) ?? null,
      onProgress: (total) => {
        this.#count(total);
        onProgress?.(this.stats, total.stored / toRead);
      },
    });
    const stop = () => threads.stop(signal?.reason);
    signal?.addEventListener("abort", stop);
    try {
      for (const [number, { isKnown }] of tasks.entries()) {
        if (number < lowest) continue;
        current = number;
        const read = isKnown ? null : await threads.contents(number);
        const contents = read ?? this.#recall(number) ?? (await known.contents(number, wants));
        if (read === null) this.#countKnown(contents);
        else {
          known.remember(number, read);
          memory?.remember(this.#layers[number] as Layer, this.#reading, read);
        }
        await this.#take(number, contents);
        add(contents, number);
      }
      const result = await finish();
      await threads.help();
      // What is known of a layer counts if the layer has its digest, which is found out meanwhile.
      for (const number of tasks.keys()) await threads.contents(number);
      this.#count(threads.total());
      return result;
    } catch (error) {
      // The lowest layer that is not what it should be is reported, its digest first.
      for (let number = 0; number <= current && number < tasks.length; number++) await threads.contents(number);
      throw error;
    } finally {
      signal?.removeEventListener("abort", stop);
      await threads.close();
      await known.settle();
    }
  }

  /** What this run has read before of a layer that has its digest; null: it has not. */
  #recall(number: number): LayerContents | null {
    return this.#options.memory?.recall(this.#layers[number] as Layer, this.#reading) ?? null;
  }

  #count({ files, directories, hashed }: Readonly<ReadSince>): void {
    this.stats.files = this.#knownFiles + files;
    this.stats.directories = this.#knownDirectories + directories;
    this.stats.bytesHashed = hashed;
  }

  #countKnown({ entries }: LayerContents): void {
    for (const { item } of entries) {
      if (item.kind === "regular") this.#knownFiles++;
      else if (item.kind === "directory") this.#knownDirectories++;
    }
  }

  /**
   * Remembers where contents are, keeps those that were delivered, and shows the observer those that it wants to see.
   */
  async #take(number: number, { entries, contents }: LayerContents): Promise<void> {
    const { observer } = this.#options;
    const wanted = new Map<number, Uint8Array | undefined>();
    for (const [index, { path, item, headersDiffer }] of entries.entries()) {
      if (headersDiffer === true) this.headersDiffer = true;
      if (item.kind !== "regular") continue;
      const { content } = item;
      // Contents in the metadata need not be found again; only an observer asks where they came from.
      if (content.kind === "external" || observer !== undefined) {
        this.#places.set(content, { layer: number, entry: index });
      }
      const kept = contents.get(index);
      if (kept !== undefined) this.#kept.set(content, kept);
      if (observer === undefined) continue;
      const size = content.kind === "inline" ? BigInt(content.bytes.length) : content.size;
      if (observer.wants(path, size)) wanted.set(index, content.kind === "inline" ? content.bytes : kept);
    }
    if (observer === undefined) return;
    const show = (index: number, bytes: Uint8Array) => {
      const { path, item } = entries[index] as LayerEntry;
      if (item.kind !== "regular") throw changed(this.#layers[number] as Layer);
      observer.content(number, splitPath(path).map(displayBytes).join("/"), item.content, bytes);
    };
    // Of more than can be kept all are read again, so that they come in order.
    if ([...wanted.values()].includes(undefined))
      await readAgain(this.#layers[number] as Layer, this.#reading, new Set(wanted.keys()), show);
    else for (const [index, bytes] of wanted) if (bytes !== undefined) show(index, bytes);
  }

  /** See `Rootfs`. */
  keptContent({ content }: RegularFile): Uint8Array | null {
    if (content.kind === "inline") return content.bytes;
    return this.#kept.get(content) ?? this.below.kept.get(content) ?? null;
  }

  /** What was not kept is unpacked again, as far as it is needed. */
  async readContent(file: RegularFile): Promise<Uint8Array> {
    const { content } = file;
    if (content.kind === "inline") return content.bytes;
    const kept = this.keptContent(file);
    if (kept !== null) return kept;
    const place = this.#placeOf(content);
    if (place === undefined) throw new Error("this file is not of these layers");
    const layer = this.#layers[place.layer] as Layer;
    if (content.size > READ_LIMIT)
      throw inputError(layer.file.subject, "a file larger than 1 GiB would have to be held in memory");
    const cached = await this.#known.content(place.layer, place.entry);
    if (cached !== null && this.#isSame(cached, content)) return cached;
    let found: Uint8Array | null = null;
    await readAgain(layer, this.#reading, new Set([place.entry]), (_, bytes) => {
      found = bytes;
    });
    if (found === null) throw changed(layer);
    // The digests of a layer are known at its end only, the file's own now.
    if (!this.#isSame(found, content)) throw changed(layer);
    return found;
  }

  #isSame(bytes: Uint8Array, { size, digest }: ExternalContent): boolean {
    const { algorithm } = this.#options;
    if (BigInt(bytes.length) !== size) return false;
    return digest === null || algorithm === null || Buffer.compare(verityDigest(bytes, algorithm), digest) === 0;
  }
}

function sizeOf(layers: readonly Layer[]): number {
  return layers.reduce((sum, { file }) => sum + file.size, 0);
}

function changed(layer: Layer): Error {
  return inputError(layer.file.subject, "changed while it was read; run seal again when nothing writes to it");
}
