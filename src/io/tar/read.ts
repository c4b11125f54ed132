/** Reads tar archives as streams: container layers, and root filesystems as archives. */
import { alignUp } from "../../bytes.ts";
import { inputError } from "../../errors.ts";
import type { LayerEntry } from "../../tree/build.ts";
import { BLOCK, isZero } from "./header.ts";
import { EntryHeaders, type EntryOptions } from "./read-entry.ts";

/** An entry as the archive has it: the content of a regular file is its size in bytes. */
export type TarEntry = LayerEntry<bigint>;

export interface TarOptions extends Pick<EntryOptions, "subject" | "negativeTimes"> {
  /** Whether mtime, uid and gid in PAX headers count; default: they do. */
  readonly paxOwners?: EntryOptions["paxOwners"];
}

/** Notified of what an archive holds, in order. */
export interface TarSink {
  readonly entry: (entry: TarEntry) => void;
  /** The next piece of the content of the last entry, a regular file: a view that is valid during the call. */
  readonly content: (piece: Uint8Array) => void;
  /** The content of a regular file, which may be empty, has come whole. */
  readonly contentEnd: () => void;
}

/**
 * Reads an archive that comes in pieces of any size. Names, link targets and xattrs are the archive's bytes. What
 * follows the end of the archive is skipped. Nothing here waits for anything, because layers have many small files.
 */
export class TarReader {
  readonly #subject: string;
  readonly #sink: TarSink;
  readonly #headers: EntryHeaders;
  /** Bytes of headers that no piece held whole: how many are wanted, and those that came. */
  #wanted = BLOCK;
  #head: Buffer | null = null;
  #headLength = 0;
  /** Whether the bytes that are wanted are an extended header. */
  #isExtension = false;
  /** Bytes of content that are still to come, and bytes after them, or in their place, to skip. */
  #content = 0;
  #skipped = 0;
  /** Whether the last block was one of zeros, and whether there were two. */
  #isZero = false;
  #isEnded = false;

  constructor({ subject, negativeTimes, paxOwners = "count" }: TarOptions, sink: TarSink) {
    this.#subject = subject;
    this.#sink = sink;
    this.#headers = new EntryHeaders({ subject, negativeTimes, paxOwners });
  }

  /**
   * Takes the next piece, which may be reused afterwards.
   * @throws SealError `input` when the archive is corrupt, or has what layers can't have: sparse files, unknown types
   */
  push(piece: Uint8Array): void {
    for (let offset = 0; offset < piece.length && !this.#isEnded; ) {
      const left = piece.length - offset;
      if (this.#content > 0) {
        const length = Math.min(left, this.#content);
        this.#content -= length;
        this.#sink.content(piece.subarray(offset, offset + length));
        if (this.#content === 0) this.#sink.contentEnd();
        offset += length;
      } else if (this.#skipped > 0) {
        const length = Math.min(left, this.#skipped);
        this.#skipped -= length;
        offset += length;
      } else if (this.#head === null && left >= this.#wanted) {
        const end = offset + this.#wanted;
        this.#take(piece.subarray(offset, end));
        offset = end;
      } else {
        this.#head ??= Buffer.allocUnsafe(this.#wanted);
        const head = this.#head;
        const length = Math.min(left, head.length - this.#headLength);
        head.set(piece.subarray(offset, offset + length), this.#headLength);
        this.#headLength += length;
        offset += length;
        if (this.#headLength < head.length) continue;
        this.#head = null;
        this.#headLength = 0;
        this.#take(head);
      }
    }
  }

  /** The pieces have ended. @throws SealError `input` unless the archive has */
  finish(): void {
    if (this.#isEnded) return;
    throw inputError(this.#subject, "ends in the middle: the archive is truncated (its end is two zero blocks)");
  }

  #take(bytes: Uint8Array): void {
    if (this.#isExtension) this.#takeExtension(bytes);
    else this.#takeBlock(bytes);
  }

  #takeExtension(bytes: Uint8Array): void {
    this.#headers.extension(bytes);
    this.#isExtension = false;
    this.#wanted = BLOCK;
  }

  #takeBlock(block: Uint8Array): void {
    if (isZero(block)) {
      // A single zero block is skipped.
      if (this.#isZero) {
        this.#headers.end();
        this.#isEnded = true;
      }
      this.#isZero = true;
      return;
    }
    this.#isZero = false;
    const next = this.#headers.block(block);
    const padded = alignUp(next.size, BLOCK);
    if (next.entry === null) {
      this.#isExtension = true;
      this.#wanted = padded;
      if (padded === 0) this.#takeExtension(new Uint8Array());
      return;
    }
    const isFile = next.entry.item.kind === "regular";
    this.#content = isFile ? next.size : 0;
    this.#skipped = padded - this.#content;
    this.#sink.entry(next.entry);
    if (isFile && next.size === 0) this.#sink.contentEnd();
  }
}
