/**
 * DER (ITU-T X.690, the distinguished encoding rules), as far as PKCS#7, X.509 and Authenticode need it. Writing is
 * functions from values to bytes. Reading follows a schema step by step and refuses everything that DER does not allow
 * (indefinite or padded lengths, tags of several bytes, trailing bytes): two readers of one signature must never see
 * two different things. Nothing here recurses on what the input says, so nesting needs no limit.
 */
import { compareBytes, utf8 } from "../bytes.ts";
import { concat } from "../chunks.ts";
import { inputError } from "../errors.ts";

/** Identifier octets of the universal types used here; SEQUENCE and SET with their constructed bit. */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Identifier octet of `[n]` around a constructed value: EXPLICIT, or IMPLICIT of a SEQUENCE or SET. */
export function contextTag(n: number): number {
  return 0xa0 | n;
}

/** Identifier octet of `[n] IMPLICIT` for a primitive value. */
export function primitiveContextTag(n: number): number {
  return 0x80 | n;
}

/** One value: identifier octet, length, contents in order. */
export function encodeValue(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of contents) length += part.length;
  return concat([Uint8Array.of(tag, ...encodeLength(length)), ...contents]);
}

function encodeLength(length: number): number[] {
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return [0x80 | bytes.length, ...bytes];
}

export function sequence(...elements: readonly Uint8Array[]): Uint8Array {
  return encodeValue(TAG.sequence, ...elements);
}

/** SET OF: the elements are sorted by their encoding (X.690 11.6). */
export function setOf(...elements: readonly Uint8Array[]): Uint8Array {
  return encodeValue(TAG.set, ...elements.toSorted(compareBytes));
}

/** `[n] EXPLICIT`, and the same bytes as `[n] IMPLICIT` of a SEQUENCE or SET with these elements. */
export function context(n: number, ...elements: readonly Uint8Array[]): Uint8Array {
  return encodeValue(contextTag(n), ...elements);
}

/**
 * A whole number of at least 0, or its bytes, big endian, unsigned; leading zeros are dropped or added as DER wants.
 */
export function integer(value: number | Uint8Array): Uint8Array {
  const bytes = typeof value === "number" ? bigEndian(value) : value;
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const trimmed = bytes.length === 0 ? Uint8Array.of(0) : bytes.subarray(start);
  const negative = ((trimmed[0] ?? 0) & 0x80) !== 0;
  return encodeValue(TAG.integer, negative ? Uint8Array.of(0) : new Uint8Array(), trimmed);
}

function bigEndian(value: number): Uint8Array {
  const hex = value.toString(16);
  return Uint8Array.from(Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex"));
}

export function octetString(contents: Uint8Array): Uint8Array {
  return encodeValue(TAG.octetString, contents);
}

/** @param unusedBits how many low bits of the last byte do not count */
export function bitString(contents: Uint8Array, unusedBits = 0): Uint8Array {
  return encodeValue(TAG.bitString, Uint8Array.of(unusedBits), contents);
}

export function boolean(value: boolean): Uint8Array {
  return encodeValue(TAG.boolean, Uint8Array.of(value ? 0xff : 0));
}

export function nullValue(): Uint8Array {
  return encodeValue(TAG.null);
}

export function utf8String(text: string): Uint8Array {
  return encodeValue(TAG.utf8String, utf8(text));
}

/** @param dotted for example `1.2.840.113549.1.7.2` */
export function objectIdentifier(dotted: string): Uint8Array {
  const [first = 0n, second = 0n, ...rest] = dotted.split(".").map(BigInt);
  const bytes: number[] = [];
  for (const arc of [first * 40n + second, ...rest]) {
    const digits: number[] = [];
    for (let value = arc; ; value >>= 7n) {
      digits.unshift(Number(value & 0x7fn) | (digits.length > 0 ? 0x80 : 0));
      if (value < 0x80n) break;
    }
    bytes.push(...digits);
  }
  return encodeValue(TAG.objectIdentifier, Uint8Array.from(bytes));
}

/** A time in whole seconds as RFC 5280 and RFC 5652 want it: UTCTime for 1950 to 2049, GeneralizedTime otherwise. */
export function time(date: Date): Uint8Array {
  const digits = date.toISOString().replace(/\.\d+Z$|[-:T]/g, "");
  const year = date.getUTCFullYear();
  return year >= 1950 && year < 2050
    ? encodeValue(TAG.utcTime, utf8(`${digits.slice(2)}Z`))
    : encodeValue(TAG.generalizedTime, utf8(`${digits}Z`));
}

/** One value as it was read; both arrays are views of the input. */
export interface DerValue {
  readonly tag: number;
  readonly content: Uint8Array;
  /** Identifier, length and content. */
  readonly encoded: Uint8Array;
}

/**
 * Reads the values of one constructed value, or of a whole input, in order. Every deviation from DER is an input error.
 */
export class DerReader {
  readonly subject: string;
  readonly #bytes: Uint8Array;
  #offset = 0;

  /** @param subject names the input in error messages */
  constructor(bytes: Uint8Array, subject: string) {
    this.subject = subject;
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#offset === this.#bytes.length;
  }

  /** The identifier octet of the next value; null at the end. */
  get nextTag(): number | null {
    return this.#bytes[this.#offset] ?? null;
  }

  /** The next value, whatever it is. `what` names it in errors, as in all methods. */
  any(what: string): DerValue {
    const start = this.#offset;
    const tag = this.#byte(what);
    if ((tag & 0x1f) === 0x1f) throw this.error(`${what} has a tag of several bytes`);
    const length = this.#length(what);
    const end = this.#offset + length;
    if (end > this.#bytes.length) throw this.error(`${what} is longer than its container`);
    const content = this.#bytes.subarray(this.#offset, end);
    this.#offset = end;
    return { tag, content, encoded: this.#bytes.subarray(start, end) };
  }

  /** The next value, which must have this identifier octet. */
  value(tag: number, what: string): DerValue {
    if (this.nextTag !== tag) throw this.error(`${what} expected (tag 0x${tag.toString(16)}), found ${this.#found()}`);
    return this.any(what);
  }

  /** The next value if it has this identifier octet, else null and nothing is read. */
  optional(tag: number, what: string): DerValue | null {
    return this.nextTag === tag ? this.any(what) : null;
  }

  /** A reader for what the next value holds; `tag` is SEQUENCE unless given. */
  enter(what: string, tag: number = TAG.sequence): DerReader {
    return this.inside(this.value(tag, what));
  }

  /** A reader for what a value holds. */
  inside(value: DerValue): DerReader {
    return new DerReader(value.content, this.subject);
  }

  objectIdentifier(what: string): string {
    return decodeObjectIdentifier(this.value(TAG.objectIdentifier, what).content, () =>
      this.error(`${what} is not a valid object identifier`),
    );
  }

  /** A whole number of at least 0 that fits four bytes. */
  smallInteger(what: string): number {
    const { content } = this.integer(what);
    if (content.length > 4 || ((content[0] ?? 0) & 0x80) !== 0) throw this.error(`${what} is out of range`);
    return content.reduce((sum, byte) => sum * 256 + byte, 0);
  }

  /** An INTEGER of any size; its content in two's complement, big endian. */
  integer(what: string): DerValue {
    const value = this.value(TAG.integer, what);
    const [first, second = 0] = value.content;
    const padded = value.content.length > 1 && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80));
    if (first === undefined || padded) throw this.error(`${what} is not encoded in as few bytes as possible`);
    return value;
  }

  /** A UTCTime or GeneralizedTime in whole seconds of UTC. */
  time(what: string): Date {
    const value = this.any(what);
    const text = Buffer.from(value.content).toString("latin1");
    const match =
      value.tag === TAG.utcTime
        ? /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text)
        : value.tag === TAG.generalizedTime
          ? /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text)
          : null;
    const [year = 0, month = 0, ...rest] = (match ?? []).slice(1).map(Number);
    const [day = 0, hour = 0, minute = 0, second = 0] = rest;
    const fullYear = value.tag === TAG.utcTime ? year + (year < 50 ? 2000 : 1900) : year;
    const date = new Date(0);
    date.setUTCFullYear(fullYear, month - 1, day);
    date.setUTCHours(hour, minute, second);
    // A 31st of February moves on to March; then the digits differ.
    const digits = date.toISOString().replace(/\.\d+Z$|[-:T]/g, "");
    if (match === null || !digits.endsWith(text.slice(0, -1))) throw this.error(`${what} is not a valid time`);
    return date;
  }

  /** Refuses bytes after the last value. */
  end(what: string): void {
    if (!this.atEnd) throw this.error(`unexpected data at the end of ${what}`);
  }

  /** An input error about this input. */
  error(reason: string): Error {
    return inputError(this.subject, reason);
  }

  #found(): string {
    return this.nextTag === null ? "nothing" : `0x${this.nextTag.toString(16).padStart(2, "0")}`;
  }

  #byte(what: string): number {
    const byte = this.#bytes[this.#offset];
    if (byte === undefined) throw this.error(`${what} is truncated`);
    this.#offset++;
    return byte;
  }

  /** Definite form in as few bytes as possible; four bytes are far more than any signature has. */
  #length(what: string): number {
    const first = this.#byte(what);
    if (first < 0x80) return first;
    const count = first & 0x7f;
    if (count === 0) throw this.error(`${what} has an indefinite length, which DER forbids`);
    if (count > 4) throw this.error(`${what} has an impossible length`);
    let length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + this.#byte(what);
    if (length < 0x80 || length < 256 ** (count - 1)) throw this.error(`${what} has a length that is not minimal`);
    return length;
  }
}

function decodeObjectIdentifier(content: Uint8Array, invalid: () => Error): string {
  const arcs: bigint[] = [];
  let arc = 0n;
  let digits = 0;
  for (const byte of content) {
    // The longest arcs in use are the 128 bits of a UUID: 19 digits of 7 bits.
    if ((digits === 0 && byte === 0x80) || digits >= 19) throw invalid();
    arc = (arc << 7n) | BigInt(byte & 0x7f);
    digits++;
    if ((byte & 0x80) !== 0) continue;
    arcs.push(arc);
    arc = 0n;
    digits = 0;
  }
  const [first, ...rest] = arcs;
  if (first === undefined || digits !== 0) throw invalid();
  const root = first < 80n ? first / 40n : 2n;
  return [root, first - root * 40n, ...rest].join(".");
}
