/**
 * Layers to a root filesystem: each layer is read once, as a stream, and its files are hashed as they pass. Nothing is unpacked to disk, and
 * memory holds metadata only, whatever the size of files and layers.
 */

import { availableParallelism } from "node:os";
import { displayBytes } from "../../bytes.ts";
import type { VerityAlgorithm } from "../../composefs/profile.ts";
import { VerityHasher, verityDigest } from "../../composefs/verity.ts";
import { inputError } from "../../errors.ts";
import type { LayerForm } from "../../oci/layer-form.ts";
import { type BuildWatcher, type LayerEntry, TreeBuilder } from "../../tree/build.ts";
import { type LayerObserver, ownWhiteouts } from "../../tree/layer-observer.ts";
import {
  type ExternalContent,
  INLINE_LIMIT,
  type InlineContent,
  type RegularFile,
  splitPath,
} from "../../tree/node.ts";
import type { Rootfs } from "../../tree/rootfs.ts";
import type { ScanOptions, ScanStats } from "../scan.ts";
import type { TarEntry } from "../tar/read.ts";
import { type ContentNeeds, KeptContents } from "./kept-contents.ts";
import { type Layer, unpackLayer } from "./layer.ts";
import { layerForm } from "./layer-form.ts";
import { readLayer } from "./read-layer.ts";
import { Unpackers } from "./unpack.ts";

/** Layers that are unpacked at the same time, at most; this thread hashes what they give. */
const PARALLEL_LAYERS = 4;
/** A file that is read whole. */
const READ_LIMIT = 1n << 30n;

export interface LayersOptions extends Pick<ScanOptions, "algorithm" | "jobs" | "onProgress"> {
  /** The root filesystem in messages. */
  readonly label: string;
  /** See `TransformRules.paxOwners`. */
  readonly paxOwners: "count" | "ignored";
  /** `layers`: of an image; `mounted`: an archive of a root filesystem. */
  readonly view: Rootfs["view"];
  /** With one, a directory that no layer describes is no error: the observer is told of it. */
  readonly observer?: LayerObserver | undefined;
  /** Ends the reading with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** What contents are kept for; default: all. */
  readonly needs?: ContentNeeds | undefined;
}

/**
 * The root filesystem that layers make, applied one after the other onto an empty root.
 * @param layers lowest first
 * @throws SealError `input` as {@link readLayer} and {@link TreeBuilder} do
 */
export async function openLayers(
  layers: readonly Layer[],
  options: LayersOptions,
): Promise<{ readonly rootfs: Rootfs; readonly stats: Readonly<ScanStats>; readonly forms: readonly LayerForm[] }> {
  const { label, view, observer } = options;
  const reader = new LayerReader(layers, options);
  let current = 0;
  const builder = new TreeBuilder(label, observer === undefined ? null : reader.watcher(observer, () => current));
  await reader.readAll((entries, layer) => {
    current = layer;
    for (const entry of entries) builder.add(entry);
    if (observer === undefined) return;
    observer.layer(layer, entries);
    for (const path of ownWhiteouts(entries)) observer.ownWhiteout(layer, path);
  });
  const readContent: Rootfs["readContent"] = (_, file) => reader.readContent(file);
  const { stats, headersDiffer, unpacked } = reader;
  const forms = await Promise.all(layers.map((layer, index) => layerForm(layer, unpacked[index] ?? 0)));
  return { rootfs: { label, root: builder.finish(), view, headersDiffer, readContent }, stats, forms };
}

/** Where the content of a file lies: the number of its layer, and of its entry there. */
interface Place {
  readonly layer: number;
  readonly entry: number;
}

class LayerReader {
  /** Bytes of the archive in each layer. */
  readonly unpacked: number[] = [];
  readonly stats: ScanStats = { files: 0, directories: 0, bytesHashed: 0 };
  /** See `Rootfs.headersDiffer`. */
  headersDiffer = false;
  readonly #layers: readonly Layer[];
  readonly #options: LayersOptions;
  readonly #places = new Map<RegularFile["content"], Place>();
  readonly #kept: KeptContents;
  /** Bytes of the layers as they are stored: in all, and read so far. */
  readonly #storedBytes: number;
  #storedRead = 0;
  #failed = false;

  constructor(layers: readonly Layer[], options: LayersOptions) {
    this.#layers = layers;
    this.#storedBytes = layers.reduce((sum, { file }) => sum + file.size, 0);
    this.#options = options;
    this.#kept = new KeptContents(options.needs ?? "all");
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

  /** Reads several layers at a time; the entries come in order. */
  async readAll(add: (entries: readonly LayerEntry[], layer: number) => void): Promise<void> {
    const layers = this.#layers;
    const unpackers = new Unpackers();
    const running: Promise<LayerEntry[]>[] = [];
    const start = (index: number) => {
      const reading = this.#readLayer(index, unpackers);
      // Its error is thrown when its turn comes, or not at all after another one.
      reading.catch(() => {
        this.#failed = true;
      });
      running.push(reading);
    };
    const ahead = Math.min(PARALLEL_LAYERS, this.#options.jobs ?? availableParallelism());
    try {
      for (let index = 0; index < layers.length; index++) {
        while (running.length < Math.min(layers.length, index + ahead)) start(running.length);
        const entries = await (running[index] as Promise<LayerEntry[]>);
        add(entries, index);
        running[index] = Promise.resolve([]);
      }
    } finally {
      this.#failed = true;
      await Promise.allSettled(running);
      await unpackers.close();
    }
  }

  async #readLayer(number: number, unpackers: Unpackers): Promise<LayerEntry[]> {
    const entries: LayerEntry[] = [];
    const { paxOwners, signal } = this.#options;
    const layer = this.#layers[number] as Layer;
    let stored = 0;
    const archive = unpackers.archive(
      layer,
      (bytes) => {
        this.#storedRead += bytes - stored;
        stored = bytes;
      },
      (bytes) => {
        this.unpacked[number] = bytes;
      },
    );
    for await (const { entry, content } of readLayer(layer, archive, paxOwners)) {
      // Another layer has failed: nobody needs this one any more.
      if (this.#failed) return [];
      signal?.throwIfAborted();
      const place = { layer: number, entry: entries.length };
      if (entry.headersDiffer === true) this.headersDiffer = true;
      entries.push({ ...entry, item: await this.#readItem(entry, content, place) });
    }
    return entries;
  }

  async #readItem(entry: TarEntry, content: AsyncIterable<Uint8Array>, place: Place): Promise<LayerEntry["item"]> {
    const { item } = entry;
    if (item.kind === "directory") this.stats.directories++;
    if (item.kind !== "regular") return item;
    this.stats.files++;
    const known = await this.#readFile(entry, item.content, content, place.layer);
    // Contents in the metadata need not be found again; only an observer asks where they came from.
    if (known.kind === "external" || this.#options.observer !== undefined) this.#places.set(known, place);
    this.#progress();
    return { kind: "regular", content: known };
  }

  async #readFile(
    { path }: TarEntry,
    size: bigint,
    chunks: AsyncIterable<Uint8Array>,
    layer: number,
  ): Promise<InlineContent | ExternalContent> {
    const { algorithm, observer } = this.#options;
    const isWanted = observer?.wants(path, size) ?? false;
    const isKept = size > INLINE_LIMIT && this.#kept.wants(path, size);
    if (isWanted || isKept || size <= INLINE_LIMIT) {
      const bytes = await collect(chunks, size);
      const content = this.#describe(bytes);
      if (isKept && content.kind === "external") this.#kept.keep(content, bytes);
      if (isWanted) observer?.content(layer, splitPath(path).map(displayBytes).join("/"), content, bytes);
      return content;
    }
    return external(size, algorithm === null ? null : await this.#hash(chunks, algorithm));
  }

  #describe(bytes: Uint8Array): InlineContent | ExternalContent {
    const { algorithm } = this.#options;
    if (bytes.length <= INLINE_LIMIT) return { kind: "inline", bytes };
    if (algorithm !== null) this.stats.bytesHashed += bytes.length;
    return external(BigInt(bytes.length), algorithm === null ? null : verityDigest(bytes, algorithm));
  }

  async #hash(chunks: AsyncIterable<Uint8Array>, algorithm: VerityAlgorithm): Promise<Uint8Array> {
    const hasher = new VerityHasher(algorithm);
    for await (const chunk of chunks) {
      hasher.update(chunk);
      this.stats.bytesHashed += chunk.length;
      this.#progress();
    }
    return hasher.digest();
  }

  #progress(): void {
    this.#options.onProgress?.(this.stats, this.#storedRead / this.#storedBytes);
  }

  /** What was not kept is unpacked again, as far as it is needed. */
  async readContent(file: RegularFile): Promise<Uint8Array> {
    const { content } = file;
    if (content.kind === "inline") return content.bytes;
    const kept = this.#kept.get(content);
    if (kept !== undefined) return kept;
    const place = this.#places.get(content);
    if (place === undefined) throw new Error("this file is not of these layers");
    const layer = this.#layers[place.layer] as Layer;
    if (content.size > READ_LIMIT) throw inputError(layer.file.subject, "a file of more than 1 GiB is needed whole");
    let number = 0;
    for await (const { content: chunks } of readLayer(layer, unpackLayer(layer), this.#options.paxOwners)) {
      if (number++ === place.entry) return this.#checked(await collect(chunks, content.size), content, layer);
    }
    throw changed(layer);
  }

  /** The digests of a layer are known at its end only, the file's own now. */
  #checked(bytes: Uint8Array, { digest }: ExternalContent, layer: Layer): Uint8Array {
    const { algorithm } = this.#options;
    if (digest !== null && algorithm !== null && Buffer.compare(verityDigest(bytes, algorithm), digest) !== 0) {
      throw changed(layer);
    }
    return bytes;
  }
}

function changed(layer: Layer): Error {
  return inputError(layer.file.subject, "was changed while it was read; run seal again when nothing writes to it");
}

function external(size: bigint, digest: Uint8Array | null): ExternalContent {
  return { kind: "external", size, digest, payload: digest === null ? null : "digest" };
}

/** A copy of all chunks, each made before the next one comes: they are views of memory that is used again. */
async function collect(chunks: AsyncIterable<Uint8Array>, size: bigint): Promise<Uint8Array> {
  const bytes = new Uint8Array(Number(size));
  let offset = 0;
  for await (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}
