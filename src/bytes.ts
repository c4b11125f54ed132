/** Byte-level helpers shared by all formats. Every integer read here is little endian unless its name says otherwise. */
import { inputError } from "./errors.ts";

/** `value` rounded up to a multiple of `alignment` (a positive integer; need not be a power of two). */
export function alignUp(value: number, alignment: number): number {
  const rest = value % alignment;
  return rest === 0 ? value : value + alignment - rest;
}

/** One array with the bytes of all parts, in order. */
export function concat(parts: Chunks): Uint8Array {
  if (parts instanceof StoredBytes) return parts.read(0, parts.size);
  const result = new Uint8Array(byteLength(parts));
  let offset = 0;
  for (const part of parts) {
    result.set(part, offset);
    offset += part.length;
  }
  return result;
}

/** The bytes of a large file in order: views, so that it need not be copied together, or what is read when it is asked for. */
export type Chunks = readonly Uint8Array[] | StoredBytes;

/** Bytes in a file, or of a part of it, that are not in memory: each time that they are asked for they are read. */
export class StoredBytes implements Iterable<Uint8Array> {
  readonly #read: (into: Uint8Array, offset: number) => void;
  readonly #start: number;
  /** In bytes. */
  readonly size: number;

  /** @param read fills an array with what the file has from an offset on, or throws */
  constructor(read: (into: Uint8Array, offset: number) => void, size: number, start = 0) {
    this.#read = read;
    this.#start = start;
    this.size = size;
  }

  /** A copy of the bytes from `start` to `end` (exclusive). @throws RangeError when they do not lie in it */
  read(start: number, end: number): Uint8Array {
    const bytes = Buffer.allocUnsafeSlow(end - start);
    this.readInto(bytes, start);
    return bytes;
  }

  /** Fills an array with the bytes from `start` on. @throws RangeError when they do not lie in it */
  readInto(bytes: Uint8Array, start: number): void {
    this.#check(start, start + bytes.length);
    this.#read(bytes, this.#start + start);
  }

  /** The bytes from `start` to `end`, not read yet. @throws RangeError when they do not lie in it */
  slice(start: number, end: number): StoredBytes {
    this.#check(start, end);
    return new StoredBytes(this.#read, end - start, this.#start + start);
  }

  *[Symbol.iterator](): Generator<Uint8Array> {
    for (let at = 0; at < this.size; at += PIECE) yield this.read(at, Math.min(at + PIECE, this.size));
  }

  #check(start: number, end: number): void {
    if (start < 0 || end < start || end > this.size) throw new RangeError(`no such range: ${start} to ${end}`);
  }
}
const PIECE = 1 << 18;

/** What stands at the beginning of a chunk list: its first chunk, or a mebibyte of what is not in memory. */
export function firstBytes(chunks: Chunks): Uint8Array {
  if (chunks instanceof StoredBytes) return chunks.read(0, Math.min(chunks.size, HEAD));
  return chunks[0] ?? new Uint8Array();
}
const HEAD = 1 << 20;

/**
 * Views of the bytes from `start` to `end` (exclusive) of a chunk list, in order.
 * @throws RangeError when the range does not lie in the list
 */
export function* readRange(chunks: Chunks, start: number, end: number): Generator<Uint8Array> {
  if (start < 0 || end < start) throw new RangeError(`no such range: ${start} to ${end}`);
  if (chunks instanceof StoredBytes) {
    yield* chunks.slice(start, end);
    return;
  }
  let position = 0;
  for (const chunk of chunks) {
    const from = Math.max(start - position, 0);
    const to = Math.min(end - position, chunk.length);
    if (from < to) yield chunk.subarray(from, to);
    position += chunk.length;
    if (position >= end) return;
  }
  if (position < end) throw new RangeError(`range ends at ${end}, the chunks at ${position}`);
}

/** The bytes from `start` to `end` (exclusive) as a chunk list; nothing is read. @throws RangeError when they do not lie in it */
export function sliceChunks(chunks: Chunks, start: number, end: number): Chunks {
  return chunks instanceof StoredBytes ? chunks.slice(start, end) : [...readRange(chunks, start, end)];
}

/**
 * Gives the bytes from `start` to `end` to a function, piece by piece, in little memory.
 * @param use a piece is good during the call only; false: no more of them
 */
export function forEachPiece(chunks: Chunks, start: number, end: number, use: (piece: Uint8Array) => unknown): void {
  if (!(chunks instanceof StoredBytes)) {
    for (const piece of readRange(chunks, start, end)) if (use(piece) === false) return;
    return;
  }
  const buffer = Buffer.allocUnsafeSlow(Math.min(PIECE, end - start));
  for (let at = start; at < end; at += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, end - at));
    chunks.readInto(piece, at);
    if (use(piece) === false) return;
  }
}

/** Length of a chunk list in bytes. */
export function byteLength(parts: Chunks): number {
  if (parts instanceof StoredBytes) return parts.size;
  let length = 0;
  for (const part of parts) length += part.length;
  return length;
}

/** Byte-wise order, shorter first where one is a prefix of the other: negative, 0 or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

/** Lower-case hex. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

/** Bytes of an even number of hex digits, either case; null when `text` is anything else. */
export function fromHex(text: string): Uint8Array | null {
  return /^(?:[0-9a-fA-F]{2})*$/.test(text) ? Uint8Array.from(Buffer.from(text, "hex")) : null;
}

/** UTF-8 bytes of a string. */
export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Each byte as the character of that number: for text formats and lookups whose alphabet is bytes. */
export function latin1(bytes: Uint8Array): string {
  // What Buffer's toString calls, without a Buffer being made: names are asked for by the ten thousand.
  return Buffer.prototype.latin1Slice.call(bytes, 0, bytes.length);
}

/**
 * Bytes as text for people: valid UTF-8 as {@link escapeControls} has it, everything else as `\xHH`.
 * Only for messages and reports; names are never compared or looked up in this form.
 */
export function displayBytes(bytes: Uint8Array): string {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    text = Buffer.from(bytes)
      .toString("latin1")
      .replace(/[\x80-\xff]/g, escapeChar);
  }
  return escapeControls(text);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not reach a terminal
const CONTROLS = /[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/**
 * A text that can't start lines or talk to the terminal: control characters as `\xHH`, those that reverse the direction of
 * writing or show nothing as `\uHHHH`.
 */
export function escapeControls(text: string): string {
  return text.replace(CONTROLS, escapeChar);
}

function escapeChar(char: string): string {
  const hex = char.charCodeAt(0).toString(16);
  return hex.length > 2 ? `\\u${hex.padStart(4, "0")}` : `\\x${hex.padStart(2, "0")}`;
}

/** Integers and ranges of bytes, by offset, each checked to lie in them. `what` names the structure for the error message. */
export interface Reader {
  /** Names the input in error messages, mostly a path. */
  readonly subject: string;
  readonly length: number;
  /** `length` bytes at `offset`. */
  slice(offset: number, length: number, what: string): Uint8Array;
  u8(offset: number, what: string): number;
  u16(offset: number, what: string): number;
  u32(offset: number, what: string): number;
  u64(offset: number, what: string): bigint;
  /** A reader of what is behind an offset, which is 0 there. */
  from(offset: number): Reader;
}

/**
 * Bounds-checked little-endian access to bytes that come from outside. Every read past the end is an input error
 * `subject: truncated …` and never a RangeError.
 */
export class Cursor implements Reader {
  readonly bytes: Uint8Array;
  readonly subject: string;
  readonly #view: DataView;

  /** @param subject names the input in error messages, mostly a path */
  constructor(bytes: Uint8Array, subject: string) {
    this.bytes = bytes;
    this.subject = subject;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number {
    return this.bytes.length;
  }

  /** A view (no copy) of `length` bytes at `offset`. `what` names the structure for the error message. */
  slice(offset: number, length: number, what: string): Uint8Array {
    this.#check(offset, length, what);
    return this.bytes.subarray(offset, offset + length);
  }

  u8(offset: number, what: string): number {
    this.#check(offset, 1, what);
    return this.#view.getUint8(offset);
  }

  u16(offset: number, what: string): number {
    this.#check(offset, 2, what);
    return this.#view.getUint16(offset, true);
  }

  u32(offset: number, what: string): number {
    this.#check(offset, 4, what);
    return this.#view.getUint32(offset, true);
  }

  u64(offset: number, what: string): bigint {
    this.#check(offset, 8, what);
    return this.#view.getBigUint64(offset, true);
  }

  from(offset: number): Cursor {
    return new Cursor(this.bytes.subarray(offset), this.subject);
  }

  #check(offset: number, length: number, what: string): void {
    checkRange({ offset, length, what, size: this.bytes.length, subject: this.subject });
  }
}

/** The same of bytes that are not in memory; a few KiB around what is asked for are. */
class StoredCursor implements Reader {
  readonly #bytes: StoredBytes;
  readonly subject: string;
  #window = new Cursor(new Uint8Array(), "");
  #start = 0;

  constructor(bytes: StoredBytes, subject: string) {
    this.#bytes = bytes;
    this.subject = subject;
  }

  get length(): number {
    return this.#bytes.size;
  }

  slice(offset: number, length: number, what: string): Uint8Array {
    return this.#over(offset, length, what).slice(offset - this.#start, length, what);
  }

  u8(offset: number, what: string): number {
    return this.#over(offset, 1, what).u8(offset - this.#start, what);
  }

  u16(offset: number, what: string): number {
    return this.#over(offset, 2, what).u16(offset - this.#start, what);
  }

  u32(offset: number, what: string): number {
    return this.#over(offset, 4, what).u32(offset - this.#start, what);
  }

  u64(offset: number, what: string): bigint {
    return this.#over(offset, 8, what).u64(offset - this.#start, what);
  }

  from(offset: number): StoredCursor {
    return new StoredCursor(this.#bytes.slice(offset, this.length), this.subject);
  }

  /** Sees to it that a range is in the window. Views of older ones stay good. */
  #over(offset: number, length: number, what: string): Cursor {
    checkRange({ offset, length, what, size: this.length, subject: this.subject });
    if (offset < this.#start || offset + length > this.#start + this.#window.length) {
      const end = Math.min(this.length, offset + Math.max(length, WINDOW));
      this.#window = new Cursor(this.#bytes.read(offset, end), this.subject);
      this.#start = offset;
    }
    return this.#window;
  }
}
const WINDOW = 1 << 14;

/** A reader of a chunk list, which is neither copied together nor read as a whole. */
export function readerOf(chunks: Chunks, subject: string): Reader {
  if (chunks instanceof StoredBytes) return new StoredCursor(chunks, subject);
  const [only = new Uint8Array(), more] = chunks;
  if (more === undefined) return new Cursor(only, subject);
  const read = (into: Uint8Array, offset: number) => {
    let at = 0;
    for (const part of readRange(chunks, offset, offset + into.length)) {
      into.set(part, at);
      at += part.length;
    }
  };
  return new StoredCursor(new StoredBytes(read, byteLength(chunks)), subject);
}

/** @throws SealError `input` for a range that is not in the file */
function checkRange(range: {
  readonly offset: number;
  readonly length: number;
  readonly what: string;
  readonly size: number;
  readonly subject: string;
}): void {
  const { offset, length, what, size, subject } = range;
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0) {
    throw inputError(subject, `${what} lies at an impossible place (offset ${offset}, length ${length})`);
  }
  if (offset + length > size) {
    throw inputError(
      subject,
      `truncated or corrupt: ${what} needs bytes ${offset} to ${offset + length}, the file has ${size}`,
    );
  }
}
