/** Reads tar archives as streams: container layers, and root filesystems as archives. */
import { inputError } from "../../errors.ts";
import type { LayerEntry } from "../../tree/build.ts";
import { BLOCK } from "./header.ts";
import { type Blocks, type EntryOptions, readEntry } from "./read-entry.ts";

/** An entry as the archive has it: the content of a regular file is its size in bytes. */
export type TarEntry = LayerEntry<bigint>;

export interface TarOptions extends Pick<EntryOptions, "subject" | "negativeTimes"> {
  /** Whether mtime, uid and gid in PAX headers count; default: they do. */
  readonly paxOwners?: EntryOptions["paxOwners"];
}

/**
 * The entries of an archive in order. Names, link targets and xattrs are the archive's bytes. Content comes as views of the chunks of
 * `source`; it must be read, or left, before the next entry is asked for. No chunk is looked at after the next one was asked for. What follows the end of the archive is not read.
 * @param source the uncompressed archive
 * @throws SealError `input` when it is cut off, corrupt, or has what layers can't have: sparse files, unknown types
 */
export async function* readTar(
  source: AsyncIterable<Uint8Array>,
  options: TarOptions,
): AsyncGenerator<{ readonly entry: TarEntry; readonly content: AsyncIterable<Uint8Array> }> {
  const reader = new BlockReader(source, options.subject);
  const entryOptions = { paxOwners: "count", ...options } as const;
  for (let next = await readEntry(reader, entryOptions); next !== null; next = await readEntry(reader, entryOptions)) {
    const size = Number(next.size);
    reader.enter(next.entry.item.kind === "regular" ? size : 0);
    yield { entry: next.entry, content: reader.content() };
    await reader.leave(Math.ceil(size / BLOCK) * BLOCK);
  }
}

/** Exact reads from a stream of chunks. */
class BlockReader implements Blocks {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #subject: string;
  /** A copy of bytes before `#rest`: of a chunk that is gone. */
  #head: Uint8Array = new Uint8Array();
  /** What is left of the last chunk. */
  #rest: Uint8Array = new Uint8Array();
  /** Bytes of an entry's content that were read, and its size. */
  #position = 0;
  #end = 0;

  constructor(source: AsyncIterable<Uint8Array>, subject: string) {
    this.#source = source[Symbol.asyncIterator]();
    this.#subject = subject;
  }

  async read(length: number): Promise<Uint8Array> {
    const bytes = await this.peek(length);
    if (this.#head.length > 0) this.#head = this.#head.subarray(length);
    else this.#rest = this.#rest.subarray(length);
    return bytes;
  }

  async peek(length: number): Promise<Uint8Array> {
    if (this.#head.length === 0 && this.#rest.length >= length) return this.#rest.subarray(0, length);
    while (this.#head.length < length) {
      if (this.#rest.length === 0) this.#rest = await this.#next();
      const missing = length - this.#head.length;
      this.#head = Buffer.concat([this.#head, this.#rest.subarray(0, missing)]);
      this.#rest = this.#rest.subarray(missing);
    }
    return this.#head.subarray(0, length);
  }

  /** A content of so many bytes begins. */
  enter(size: number): void {
    this.#position = 0;
    this.#end = size;
  }

  /** What is left of the content. */
  async *content(): AsyncGenerator<Uint8Array> {
    while (this.#position < this.#end) yield await this.#piece();
  }

  /** Goes to the end of a content that takes so many bytes with its padding, wherever its reader has stopped. */
  async leave(padded: number): Promise<void> {
    this.#end = padded;
    while (this.#position < padded) await this.#piece();
  }

  async #piece(): Promise<Uint8Array> {
    const isHead = this.#head.length > 0;
    while (!isHead && this.#rest.length === 0) this.#rest = await this.#next();
    const piece = (isHead ? this.#head : this.#rest).subarray(0, this.#end - this.#position);
    if (isHead) this.#head = this.#head.subarray(piece.length);
    else this.#rest = this.#rest.subarray(piece.length);
    this.#position += piece.length;
    return piece;
  }

  async #next(): Promise<Uint8Array> {
    const { value, done } = await this.#source.next();
    if (done)
      throw inputError(this.#subject, "ends in the middle: the archive is truncated (its end is two zero blocks)");
    return value;
  }
}
