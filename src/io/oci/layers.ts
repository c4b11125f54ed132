/**
 * Layers to a root filesystem: each layer is read once, as a stream, and its files are hashed as they pass. Nothing is unpacked to disk, and
 * memory holds metadata only, whatever the size of files and layers.
 */

import { availableParallelism } from "node:os";
import { displayBytes } from "../../bytes.ts";
import { verityDigest } from "../../composefs/verity.ts";
import { inputError } from "../../errors.ts";
import type { LayerForm } from "../../oci/layer-form.ts";
import { type BuildWatcher, TreeBuilder } from "../../tree/build.ts";
import type { LayerContents } from "../../tree/layer-contents.ts";
import { type LayerObserver, ownWhiteouts } from "../../tree/layer-observer.ts";
import { type ExternalContent, type RegularFile, splitPath } from "../../tree/node.ts";
import type { Rootfs } from "../../tree/rootfs.ts";
import type { ScanOptions, ScanStats } from "../scan.ts";
import { type ContentNeeds, KeptContents } from "./kept-contents.ts";
import { type Layer, unpackLayer } from "./layer.ts";
import { layerForm } from "./layer-form.ts";
import { collect, readContents } from "./read-contents.ts";
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
  const forms: LayerForm[] = [];
  await reader.readAll((contents, layer) => {
    const { entries } = contents;
    current = layer;
    forms.push(layerForm(layers[layer] as Layer, contents));
    for (const entry of entries) builder.add(entry);
    if (observer === undefined) return;
    observer.layer(layer, entries);
    for (const path of ownWhiteouts(entries)) observer.ownWhiteout(layer, path);
  });
  const readContent: Rootfs["readContent"] = (_, file) => reader.readContent(file);
  const { stats, headersDiffer } = reader;
  return { rootfs: { label, root: builder.finish(), view, headersDiffer, readContent }, stats, forms };
}

/** Where the content of a file lies: the number of its layer, and of its entry there. */
interface Place {
  readonly layer: number;
  readonly entry: number;
}

interface ReadLayer extends LayerContents {
  /** The entries whose contents are kept. */
  readonly reserved: ReadonlySet<number>;
}

class LayerReader {
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

  /** Reads several layers at a time; what they hold comes in order. */
  async readAll(add: (contents: LayerContents, layer: number) => void): Promise<void> {
    const layers = this.#layers;
    const unpackers = new Unpackers();
    const running: Promise<ReadLayer | null>[] = [];
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
        const read = (await running[index]) as ReadLayer;
        this.#take(index, read);
        add(read, index);
        running[index] = Promise.resolve(null);
      }
    } finally {
      this.#failed = true;
      await Promise.allSettled(running);
      await unpackers.close();
    }
  }

  async #readLayer(number: number, unpackers: Unpackers): Promise<ReadLayer> {
    const { algorithm, paxOwners, signal, observer } = this.#options;
    const layer = this.#layers[number] as Layer;
    const reserved = new Set<number>();
    let stored = 0;
    const held = await readContents(layer, unpackers, {
      algorithm,
      paxOwners,
      wants: (path, size, entry) => {
        const isKept = this.#kept.reserve(path, size);
        if (isKept) reserved.add(entry);
        return isKept || observer?.wants(path, size) === true;
      },
      on: {
        stored: (bytes) => {
          this.#storedRead += bytes - stored;
          stored = bytes;
        },
        entry: (kind) => {
          // Another layer has failed: nobody needs this one any more.
          if (this.#failed) throw new Error("another layer has failed");
          signal?.throwIfAborted();
          if (kind === "directory") this.stats.directories++;
          if (kind === "regular") this.stats.files++;
          this.#progress();
        },
        hashed: (bytes) => {
          this.stats.bytesHashed += bytes;
          this.#progress();
        },
      },
    });
    return { ...held, reserved };
  }

  /** Remembers where contents lie, keeps those that are wanted, and tells the observer of them. */
  #take(number: number, { entries, contents, reserved }: ReadLayer): void {
    const { observer } = this.#options;
    for (const [index, { path, item, headersDiffer }] of entries.entries()) {
      if (headersDiffer === true) this.headersDiffer = true;
      if (item.kind !== "regular") continue;
      const { content } = item;
      // Contents in the metadata need not be found again; only an observer asks where they came from.
      if (content.kind === "external" || observer !== undefined) {
        this.#places.set(content, { layer: number, entry: index });
      }
      const bytes = content.kind === "inline" ? content.bytes : contents.get(index);
      if (bytes === undefined) continue;
      if (content.kind === "external" && reserved.has(index)) this.#kept.keep(content, bytes);
      if (observer?.wants(path, BigInt(bytes.length)) === true) {
        observer.content(number, splitPath(path).map(displayBytes).join("/"), content, bytes);
      }
    }
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
