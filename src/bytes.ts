/**
 * Byte-level helpers shared by all formats. Every integer read here is little endian unless its name says otherwise.
 */
import { byteLength, type Chunks, readRange, StoredBytes } from "./chunks.ts";
import { inputError } from "./errors.ts";

/** Bytes that were read, and what the user knows them by. */
export interface NamedBytes {
  readonly bytes: Uint8Array;
  readonly subject: string;
}

/** `value` rounded up to a multiple of `alignment` (a positive integer; need not be a power of two). */
export function alignUp(value: number, alignment: number): number {
  const rest = value % alignment;
  return rest === 0 ? value : value + alignment - rest;
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
  // Paths are shown by the ten thousand, and nearly all are as they are.
  const characters = latin1(bytes);
  if (PLAIN.test(characters)) return characters;
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    text = characters.replace(/[\x80-\xff]/g, escapeChar);
  }
  return escapeControls(text);
}

/** What is ASCII and no control character. */
const PLAIN = /^[ -~]*$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not reach a terminal
const CONTROLS = /[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/**
 * A text that can't start lines or talk to the terminal: control characters as `\xHH`, those that reverse the direction
 * of writing or show nothing as `\uHHHH`.
 */
export function escapeControls(text: string): string {
  return text.replace(CONTROLS, escapeChar);
}

function escapeChar(char: string): string {
  const hex = char.charCodeAt(0).toString(16);
  return hex.length > 2 ? `\\u${hex.padStart(4, "0")}` : `\\x${hex.padStart(2, "0")}`;
}

/**
 * Integers and ranges of bytes, by offset, each checked to lie in them. `what` names the structure
 * for the error message.
 */
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
  /** A reader of what follows an offset, which becomes 0. */
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
    throw inputError(subject, `${what} is at an impossible position (offset ${offset}, length ${length})`);
  }
  if (offset + length > size) {
    throw inputError(
      subject,
      `truncated or corrupt: ${what} needs bytes ${offset} to ${offset + length}, the file has ${size}`,
    );
  }
}
