/** Byte-level helpers shared by all formats. Every integer read here is little endian unless its name says otherwise. */
import { inputError } from "./errors.ts";

/** `value` rounded up to a multiple of `alignment` (a positive integer; need not be a power of two). */
export function alignUp(value: number, alignment: number): number {
  const rest = value % alignment;
  return rest === 0 ? value : value + alignment - rest;
}

/** One array with the bytes of all parts, in order. */
export function concat(parts: Chunks): Uint8Array {
  const result = new Uint8Array(byteLength(parts));
  let offset = 0;
  for (const part of parts) {
    result.set(part, offset);
    offset += part.length;
  }
  return result;
}

/** The bytes of a large file as views in order, so that it need not be copied together. */
export type Chunks = readonly Uint8Array[];

/**
 * Views of the bytes from `start` to `end` (exclusive) of a chunk list, in order.
 * @throws RangeError when the range does not lie in the list
 */
export function* readRange(chunks: Chunks, start: number, end: number): Generator<Uint8Array> {
  if (start < 0 || end < start) throw new RangeError(`no such range: ${start} to ${end}`);
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

/** Sum of the lengths of a chunk list. */
export function byteLength(parts: Chunks): number {
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
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
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

/**
 * Bounds-checked little-endian access to bytes that come from outside. Every read past the end is an input error
 * `subject: truncated …` and never a RangeError.
 */
export class Cursor {
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

  #check(offset: number, length: number, what: string): void {
    if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0) {
      throw inputError(this.subject, `${what} lies at an impossible place (offset ${offset}, length ${length})`);
    }
    if (offset + length > this.bytes.length) {
      throw inputError(
        this.subject,
        `truncated or corrupt: ${what} needs bytes ${offset} to ${offset + length}, the file has ${this.bytes.length}`,
      );
    }
  }
}
