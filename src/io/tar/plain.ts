/**
 * Takes the metadata out of a tar archive and leaves an archive of mere contents. tar-stream would read the metadata as UTF-8, which
 * destroys binary xattrs and names that are none, and passes over much that container tools refuse; but it can do nothing wrong with headers that
 * only say how many bytes follow.
 */
import { inputError } from "../../errors.ts";
import { combineEntry, type Extensions, type SizedEntry } from "./entry.ts";
import { BLOCK, contentHeader, isZero, parseHeader, type TarHeader } from "./header.ts";
import { METADATA_LIMIT, parsePax } from "./pax.ts";

export interface EntryOptions {
  /** Names the archive in messages. */
  readonly subject: string;
  readonly negativeTimes: boolean;
  /** See `TransformRules.paxOwners`. */
  readonly paxOwners: "count" | "ignored";
}

export interface PlainOptions extends EntryOptions {
  /** Called with each entry before its header is passed on. */
  readonly onEntry: (entry: SizedEntry["entry"]) => void;
}

/** @throws SealError `input` when the archive is cut off, corrupt, or has what layers can't have */
export async function* plainArchive(
  source: AsyncIterable<Uint8Array>,
  options: PlainOptions,
): AsyncGenerator<Uint8Array> {
  const reader = new BlockReader(source, options.subject);
  for (let next = await readEntry(reader, options); next !== null; next = await readEntry(reader, options)) {
    const { entry, size } = next;
    const padding = (BLOCK - Number(size % BigInt(BLOCK))) % BLOCK;
    options.onEntry(entry);
    if (entry.item.kind === "regular") {
      yield contentHeader(size);
      yield* reader.chunks(Number(size) + padding);
    } else {
      yield contentHeader(0n);
      for await (const _ of reader.chunks(Number(size) + padding));
    }
  }
  yield new Uint8Array(2 * BLOCK);
}

/** Where headers come from; what they describe lies behind them. */
export interface Blocks {
  /** Exactly so many bytes, and on behind them. */
  read(length: number): Promise<Uint8Array>;
  /** The same without going on. */
  peek(length: number): Promise<Uint8Array>;
}

/** The next entry with its extensions; null at the end of the archive. Its content has not been read then. */
export async function readEntry(reader: Blocks, options: EntryOptions): Promise<SizedEntry | null> {
  const { subject } = options;
  const extensions: Extensions = { longName: null, longLink: null, pax: null };
  let metadata = 0n;
  for (;;) {
    const block = await reader.read(BLOCK);
    if (isZero(block)) {
      const second = await reader.peek(BLOCK);
      // A single zero block is passed over.
      if (!isZero(second)) continue;
      if (metadata > 0n) throw inputError(subject, "ends after an extended header without its entry");
      return null;
    }
    const header = parseHeader(block, subject);
    const kind = extensionOf(header);
    if (kind === null) return combineEntry(header, extensions, options);
    metadata += header.size;
    if (metadata > METADATA_LIMIT) throw inputError(subject, "an extended header is larger than 1 MiB");
    const size = Number(header.size);
    const data = await reader.read(Math.ceil(size / BLOCK) * BLOCK);
    applyExtension(extensions, kind, data.subarray(0, size), options);
    if (kind === "global") metadata -= header.size;
  }
}

function extensionOf(header: TarHeader): "pax" | "longName" | "longLink" | "global" | null {
  if (header.type === "g") return "global";
  if (!header.extensible) return null;
  return header.type === "x" ? "pax" : header.type === "L" ? "longName" : header.type === "K" ? "longLink" : null;
}

function applyExtension(
  extensions: Extensions,
  kind: "pax" | "longName" | "longLink" | "global",
  data: Uint8Array,
  { subject, negativeTimes }: EntryOptions,
): void {
  // Global headers don't count in container layers.
  if (kind === "global") return;
  if (extensions[kind] !== null) throw inputError(subject, "an entry has the same extended header twice");
  if (kind === "pax") extensions.pax = parsePax(data, subject, negativeTimes);
  else extensions[kind] = data.at(-1) === 0 ? data.subarray(0, -1) : data;
}

/** Exact reads from a stream of chunks. */
class BlockReader implements Blocks {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #subject: string;
  #rest: Uint8Array = new Uint8Array();

  constructor(source: AsyncIterable<Uint8Array>, subject: string) {
    this.#source = source[Symbol.asyncIterator]();
    this.#subject = subject;
  }

  async read(length: number): Promise<Uint8Array> {
    const bytes = await this.peek(length);
    this.#rest = this.#rest.subarray(length);
    return bytes;
  }

  async peek(length: number): Promise<Uint8Array> {
    if (this.#rest.length < length) {
      const parts = [this.#rest];
      for (let have = this.#rest.length; have < length; ) {
        const chunk = await this.#next();
        parts.push(chunk);
        have += chunk.length;
      }
      this.#rest = Buffer.concat(parts);
    }
    return this.#rest.subarray(0, length);
  }

  async *chunks(length: number): AsyncGenerator<Uint8Array> {
    for (let left = length; left > 0; ) {
      if (this.#rest.length === 0) this.#rest = await this.#next();
      const chunk = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(chunk.length);
      left -= chunk.length;
      if (chunk.length > 0) yield chunk;
    }
  }

  async #next(): Promise<Uint8Array> {
    const { value, done } = await this.#source.next();
    if (done)
      throw inputError(this.#subject, "ends in the middle: the archive is truncated (its end is two zero blocks)");
    return value;
  }
}
