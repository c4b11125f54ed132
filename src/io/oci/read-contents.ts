/** Reads one layer: its files are hashed as they pass, and those that are wanted later are kept. */
import { latin1 } from "../../bytes.ts";
import type { VerityAlgorithm } from "../../composefs/series.ts";
import { VerityHasher, verityDigest } from "../../composefs/verity.ts";
import type { StoredForm } from "../../oci/layer-form.ts";
import type { LayerEntry } from "../../tree/build.ts";
import type { LayerContents } from "../../tree/layer-contents.ts";
import { type ExternalContent, INLINE_LIMIT } from "../../tree/node.ts";
import { giveWay } from "../give-way.ts";
import { type TarEntry, TarReader, type TarSink } from "../tar/read.ts";
import { type ContentNeeds, isNeeded, memoryFor } from "./kept-contents.ts";
import { hashLayer, hashLayerHere, type Layer, unpackLayer } from "./layer.ts";
import type { PieceMemory } from "./stored-file.ts";
import { type WrittenContents, WrittenHasher } from "./written-contents.ts";

/** How layers are read. Plain data, which other threads get. */
export interface LayerReading {
  /** Null: external contents have no digest. */
  readonly algorithm: VerityAlgorithm | null;
  /** See `TransformRules.paxOwners`. */
  readonly paxOwners: "count" | "ignored";
  /** What contents are kept for. */
  readonly needs: ContentNeeds;
}

/** What a reading shares with others. */
export interface ReadingPort {
  /** Sets memory aside for a content that is needed. @returns false: there is no more */
  readonly reserve: (size: bigint) => boolean;
  /** Whether other threads can work beside this one. It changes as others begin and end. */
  readonly hasFreeCore: () => boolean;
  /** Called now and then, with what was read since the last call. What it throws ends the reading. */
  readonly onProgress: (read: ReadSince) => void;
}

export interface ReadSince {
  /** Bytes of the stored layer. */
  stored: number;
  files: number;
  directories: number;
  /** Bytes that went through the hash, or were the same as some that had. */
  hashed: number;
}

/**
 * While other threads unpack the next pieces they are asked for more after so many bytes: some hundred
 * microseconds of work.
 */
const TURN = 256 << 10;

/**
 * What a layer holds. All its digests have been checked.
 * @param written contents that files may have which are read back; null: there are none
 * @throws SealError `input` for a layer that is damaged, unsuitable or not the one that the image names
 */
export async function readContents(
  layer: Layer,
  reading: LayerReading,
  port: ReadingPort,
  written: WrittenContents | null = null,
): Promise<LayerContents> {
  const collector = new Collector(reading, port.reserve, written);
  const { since } = collector;
  let form: StoredForm | null = null;
  let stored = 0;
  const tar = tarReader(layer, reading, collector);
  const archive = unpackLayer(layer, {
    stored: (bytes) => {
      since.stored += bytes - stored;
      stored = bytes;
    },
    end: (known) => {
      form = known;
    },
    beside: port.hasFreeCore,
  });
  const report = () => {
    port.onProgress(since);
    Object.assign(since, NOTHING);
  };
  let worked = 0;
  for await (const piece of archive) {
    for (let start = 0; start < piece.length; start += TURN) {
      const part = piece.subarray(start, start + TURN);
      tar.push(part);
      worked += part.length;
      if (worked < TURN) continue;
      worked = 0;
      report();
      await giveWay();
    }
  }
  report();
  tar.finish();
  if (form === null) throw new Error("the archive has not ended");
  return { ...(form as StoredForm), entries: collector.entries, contents: collector.contents };
}

/**
 * Hashes a layer of which it is known what it holds.
 * @param memory that one layer after the other is read into
 * @throws SealError `input` unless it has its digest
 */
export async function hashOnly(
  layer: Layer,
  port: Pick<ReadingPort, "onProgress">,
  memory: PieceMemory,
): Promise<void> {
  await hashLayer(layer, reporting(port), memory);
}

/** {@link hashOnly} on this thread, without a pause. */
export function hashOnlyHere(layer: Layer, port: Pick<ReadingPort, "onProgress">, memory: PieceMemory): void {
  hashLayerHere(layer, reporting(port), memory);
}

/** Reports how many bytes were added since it was called before. */
function reporting(port: Pick<ReadingPort, "onProgress">): (bytes: number) => void {
  let last = 0;
  return (bytes) => {
    port.onProgress({ ...NOTHING, stored: bytes - last });
    last = bytes;
  };
}

/**
 * Reads the contents of some files again, in their order. Nothing after the last of them is read.
 * @param entries numbers of theirs
 * @throws SealError `input` as {@link readContents}
 */
export async function readAgain(
  layer: Layer,
  reading: Pick<LayerReading, "paxOwners">,
  entries: ReadonlySet<number>,
  use: (entry: number, bytes: Uint8Array) => void,
): Promise<void> {
  const last = Math.max(...entries);
  const gatherer = new Gatherer(entries, use);
  const tar = tarReader(layer, reading, gatherer);
  for await (const piece of unpackLayer(layer)) {
    tar.push(piece);
    if (gatherer.done >= last) return;
  }
  tar.finish();
}

function tarReader(layer: Layer, { paxOwners }: Pick<LayerReading, "paxOwners">, sink: TarSink): TarReader {
  return new TarReader({ subject: layer.file.subject, negativeTimes: layer.negativeTimes, paxOwners }, sink);
}

const NOTHING: Readonly<ReadSince> = { stored: 0, files: 0, directories: 0, hashed: 0 };
/** Room for contents that become part of the metadata. */
const SLAB = 16 << 10;

class Collector implements TarSink {
  readonly entries: LayerEntry[] = [];
  readonly contents = new Map<number, Uint8Array>();
  readonly since: ReadSince = { ...NOTHING };
  readonly #reading: LayerReading;
  readonly #reserve: ReadingPort["reserve"];
  readonly #written: WrittenContents | null;
  #current: TarEntry | null = null;
  #size = 0n;
  /** The content of a file that is kept or becomes part of the metadata, as far as it has come. */
  #bytes: Uint8Array | null = null;
  #filled = 0;
  /** Of a content that came in one piece. */
  #digest: Uint8Array | null = null;
  #hasher: VerityHasher | WrittenHasher | null = null;
  #slab: Uint8Array = new Uint8Array();

  constructor(reading: LayerReading, reserve: ReadingPort["reserve"], written: WrittenContents | null) {
    this.#reading = reading;
    this.#reserve = reserve;
    this.#written = written;
  }

  entry(entry: TarEntry): void {
    const { path, metadata, item, headersDiffer = false } = entry;
    if (item.kind !== "regular") {
      if (item.kind === "directory") this.since.directories++;
      this.entries.push({ path, metadata, item, headersDiffer });
      return;
    }
    this.since.files++;
    this.#current = entry;
    this.#size = item.content;
    if (item.content <= INLINE_LIMIT) {
      this.#bytes = this.#smallBytes(Number(item.content));
      return;
    }
    if (isNeeded(path, item.content, this.#reading.needs) && this.#reserve(item.content)) {
      this.#bytes = memoryFor(path, Number(item.content));
    }
    const { algorithm } = this.#reading;
    const written = this.#written?.get(latin1(path));
    if (algorithm !== null && written?.size === item.content) this.#hasher = new WrittenHasher(written, algorithm);
  }

  content(piece: Uint8Array): void {
    const { algorithm } = this.#reading;
    if (this.#bytes !== null) {
      this.#bytes.set(piece, this.#filled);
      this.#filled += piece.length;
    }
    if (algorithm === null || this.#size <= INLINE_LIMIT) return;
    this.since.hashed += piece.length;
    if (this.#hasher === null && BigInt(piece.length) === this.#size) this.#digest = verityDigest(piece, algorithm);
    else {
      this.#hasher ??= new VerityHasher(algorithm);
      this.#hasher.update(piece);
    }
  }

  contentEnd(): void {
    if (this.#current === null) throw new Error("there is no file");
    const { path, metadata, headersDiffer = false } = this.#current;
    const bytes = this.#bytes;
    const digest = this.#digest ?? this.#hasher?.digest() ?? null;
    const isInline = this.#size <= INLINE_LIMIT && bytes !== null;
    const content = isInline ? ({ kind: "inline", bytes } as const) : external(this.#size, digest);
    if (!isInline && bytes !== null) this.contents.set(this.entries.length, bytes);
    this.entries.push({ path, metadata, item: { kind: "regular", content }, headersDiffer });
    this.#current = null;
    this.#bytes = null;
    this.#filled = 0;
    this.#digest = null;
    this.#hasher = null;
  }

  /** A part of memory that many share. */
  #smallBytes(size: number): Uint8Array {
    if (this.#slab.length < size) this.#slab = new Uint8Array(SLAB);
    const bytes = this.#slab.subarray(0, size);
    this.#slab = this.#slab.subarray(size);
    return bytes;
  }
}

function external(size: bigint, digest: Uint8Array | null): ExternalContent {
  return { kind: "external", size, digest, payload: digest === null ? null : "digest" };
}

class Gatherer implements TarSink {
  readonly #wanted: ReadonlySet<number>;
  readonly #use: (entry: number, bytes: Uint8Array) => void;
  #entry = -1;
  #bytes: Uint8Array | null = null;
  #filled = 0;
  /** The last file whose content has come whole. */
  done = -1;

  constructor(wanted: ReadonlySet<number>, use: (entry: number, bytes: Uint8Array) => void) {
    this.#wanted = wanted;
    this.#use = use;
  }

  entry({ item }: TarEntry): void {
    this.#entry++;
    this.#filled = 0;
    const isWanted = item.kind === "regular" && this.#wanted.has(this.#entry);
    this.#bytes = isWanted ? new Uint8Array(Number(item.content)) : null;
  }

  content(piece: Uint8Array): void {
    this.#bytes?.set(piece, this.#filled);
    this.#filled += piece.length;
  }

  contentEnd(): void {
    if (this.#bytes !== null) this.#use(this.#entry, this.#bytes);
    this.done = this.#entry;
  }
}
