/**
 * Layers to a root filesystem: each layer is read once, as a stream, and its files are hashed as they pass. Nothing is
 * unpacked to disk, and memory holds metadata only, whatever the size of files and layers.
 */

import { displayBytes } from "../../bytes.ts";
import { verityDigest } from "../../composefs/verity.ts";
import { inputError } from "../../errors.ts";
import type { LayerForm } from "../../oci/layer-form.ts";
import { type BuildWatcher, type LayerEntry, TreeBuilder } from "../../tree/build.ts";
import type { LayerContents } from "../../tree/layer-contents.ts";
import { type LayerObserver, ownWhiteouts } from "../../tree/layer-observer.ts";
import { type Directory, type ExternalContent, type RegularFile, splitPath } from "../../tree/node.ts";
import type { LabelStore, Rootfs } from "../../tree/rootfs.ts";
import type { ScanOptions, ScanStats } from "../scan.ts";
import type { ContentNeeds } from "./kept-contents.ts";
import { KnownLayers } from "./known-layers.ts";
import type { Layer } from "./layer.ts";
import type { LayerCache } from "./layer-cache.ts";
import { layerForm } from "./layer-form.ts";
import type { LayerMemory } from "./layer-memory.ts";
import { type ContentPlace, type LayerStack, NO_LAYERS } from "./layer-stack.ts";
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

export interface OpenedLayers<Prepared> {
  readonly rootfs: Rootfs;
  readonly stats: Readonly<ScanStats>;
  readonly forms: readonly LayerForm[];
  readonly prepared: Prepared;
}

/**
 * The root filesystem that layers make, applied one after the other onto an empty root.
 * @param layers lowest first
 * @param prepare work on it that is done while layers are hashed of which it is known what they hold. When this
 *   function has ended, all have their digests.
 * @throws SealError `input` as {@link LayerThreads} and {@link TreeBuilder} do
 */
export async function openLayers<Prepared>(
  layers: readonly Layer[],
  options: LayersOptions,
  prepare: (rootfs: Rootfs) => Promise<Prepared>,
): Promise<OpenedLayers<Prepared>> {
  const { subject, view, observer } = options;
  const reader = new LayerReader(layers, options);
  let current = 0;
  const { below } = reader;
  const watcher = observer === undefined ? null : reader.watcher(observer, () => current);
  const builder = new TreeBuilder(subject, watcher, below.root);
  const forms = below.forms.map((form, layer) => layerForm(layers[layer] as Layer, form));
  const add = (contents: LayerContents, layer: number) => {
    const { entries } = contents;
    current = layer;
    forms.push(layerForm(layers[layer] as Layer, contents));
    for (const entry of entries) builder.add(entry);
    if (observer === undefined) return;
    observer.layer(layer, entries);
    for (const path of ownWhiteouts(entries)) observer.ownWhiteout(layer, path);
  };
  const readContent: Rootfs["readContent"] = (_, file) => reader.readContent(file);
  const keptContent = (file: RegularFile) => reader.keptContent(file);
  const opened = await reader.readAll(add, async () => {
    const { headersDiffer } = reader;
    const root = builder.finish();
    const rootfs: Rootfs = { subject, root, view, headersDiffer, readContent, keptContent, labels: reader.labels };
    return { rootfs, prepared: await prepare(rootfs) };
  });
  reader.remember(opened.rootfs.root, forms);
  return { ...opened, stats: reader.stats, forms };
}

class LayerReader {
  readonly stats: ScanStats = { files: 0, directories: 0, bytesHashed: 0 };
  /** What the lowest layers make, which were read before. An observer sees all, so there are none with one. */
  readonly below: LayerStack;
  /** See `Rootfs.headersDiffer`. */
  headersDiffer: boolean;
  readonly #layers: readonly Layer[];
  readonly #options: LayersOptions;
  readonly #reading: LayerReading;
  readonly #places = new Map<RegularFile["content"], ContentPlace>();
  readonly #kept = new Map<RegularFile["content"], Uint8Array>();
  #known: KnownLayers | null = null;
  #knownFiles: number;
  #knownDirectories: number;

  constructor(layers: readonly Layer[], options: LayersOptions) {
    this.#layers = layers;
    this.#options = options;
    const { algorithm, paxOwners, needs = "all", cache, memory, observer } = options;
    // What the cache is given serves every later run.
    this.#reading = { algorithm, paxOwners, needs: cache === undefined ? needs : "all" };
    const known = observer === undefined ? memory?.recallStack(layers, this.#reading) : null;
    this.below = known ?? NO_LAYERS;
    this.headersDiffer = this.below.headersDiffer;
    this.#knownFiles = this.below.files;
    this.#knownDirectories = this.below.directories;
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

  /** Adds what was read to the memory. @param root what all layers make */
  remember(root: Directory, forms: readonly LayerForm[]): void {
    if (this.below !== NO_LAYERS) return;
    const { headersDiffer, stats } = this;
    const stack = { ...stats, root, forms, headersDiffer, places: this.#places, kept: this.#kept };
    this.#options.memory?.rememberStack(this.#layers, this.#reading, stack);
  }

  /**
   * Reads all layers, but for those of {@link below}, which are only hashed; what the others hold comes in order.
   * @param finish called when all has come, and before all is checked
   */
  async readAll<Result>(
    add: (contents: LayerContents, layer: number) => void,
    finish: () => Promise<Result>,
  ): Promise<Result> {
    const { jobs, signal, onProgress, memory, cache, readBack } = this.#options;
    const size = this.#layers.reduce((sum, { file }) => sum + file.size, 0);
    const lowest = this.below.forms.length;
    // It starts while the cache is read.
    const early = cache !== undefined && this.#layers.length > 1 ? earlyThread(size, jobs) : null;
    const known = await this.#findKnown().catch((error: unknown) => {
      early?.dismiss();
      throw error;
    });
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

  async #findKnown(): Promise<KnownLayers> {
    const { cache, cacheUse, signal } = this.#options;
    const known = await KnownLayers.of(this.#layers, this.#reading, cache, cacheUse);
    this.#known = known;
    signal?.throwIfAborted();
    return known;
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
    const place = this.#places.get(content) ?? this.below.places.get(content);
    if (place === undefined) throw new Error("this file is not of these layers");
    const layer = this.#layers[place.layer] as Layer;
    if (content.size > READ_LIMIT)
      throw inputError(layer.file.subject, "a file larger than 1 GiB would have to be held in memory");
    const cached = await this.#known?.content(place.layer, place.entry);
    if (cached) return cached;
    let found: Uint8Array | null = null;
    await readAgain(layer, this.#reading, new Set([place.entry]), (_, bytes) => {
      found = bytes;
    });
    if (found === null) throw changed(layer);
    return this.#checked(found, content, layer);
  }

  /** The digests of a layer are known at its end only, the file's own now. */
  #checked(bytes: Uint8Array, { size, digest }: ExternalContent, layer: Layer): Uint8Array {
    const { algorithm } = this.#options;
    const isSame =
      BigInt(bytes.length) === size &&
      (digest === null || algorithm === null || Buffer.compare(verityDigest(bytes, algorithm), digest) === 0);
    if (!isSame) throw changed(layer);
    return bytes;
  }
}

function changed(layer: Layer): Error {
  return inputError(layer.file.subject, "changed while it was read; run seal again when nothing writes to it");
}
