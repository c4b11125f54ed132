/**
 * xz as Linux unpacks it: one stream, blocks with the filter LZMA2 only, no check or CRC32
 * (https://tukaani.org/xz/xz-file-format.txt; Linux Documentation/staging/xz.rst). And its predecessor, `.lzma`.
 */
import { crc32 } from "node:zlib";
import { alignUp, type Reader } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { LzmaDecoder, type LzmaProperties, lzmaProperties } from "./lzma-decoder.ts";
import { damaged, type Output } from "./output.ts";
import { RangeDecoder } from "./range-decoder.ts";

const HEADER_SIZE = 12;
const FOOTER_MAGIC = 0x5a59;
const LZMA2 = 0x21;
const CHECKS: Readonly<Record<number, string>> = { 0: "none", 1: "CRC32", 4: "CRC64", 10: "SHA-256" };
/** Bytes of the check after a block. */
const CHECK_SIZES: Readonly<Record<number, number>> = { 0: 0, 1: 4 };

/**
 * @param cursor from the magic number on
 * @returns how many of them the stream has
 * @throws SealError `input` for damaged data, for what Linux can't unpack, and beyond the limit
 */
export function unpackXz(cursor: Reader, output: Output): number {
  const { subject } = output;
  checkCrc(cursor, 6, 2, subject);
  const check = cursor.u8(7, "xz header");
  const checkSize = CHECK_SIZES[check];
  if (checkSize === undefined) {
    const name = CHECKS[check] ?? `number ${check}`;
    throw inputError(subject, `its xz data has the check ${name}; CRC32 is taken only, as by Linux (xz --check=crc32)`);
  }
  let at = HEADER_SIZE;
  while (cursor.u8(at, "xz block") !== 0) {
    output.startSum(crc32);
    at = unpackBlock(cursor, at, output, subject);
    const sum = output.finishSum();
    if (checkSize > 0 && cursor.u32(at, "xz check") !== sum) throw damaged(subject);
    at += checkSize;
  }
  return skipIndex(cursor, at, subject);
}

/** @returns the offset of the block's check */
function unpackBlock(cursor: Reader, start: number, output: Output, subject: string): number {
  const size = (cursor.u8(start, "xz block") + 1) * 4;
  checkCrc(cursor, start, size - 4, subject);
  const flags = cursor.u8(start + 1, "xz block");
  let at = start + 2;
  // Sizes of the block, packed and unpacked, which its data shows too.
  for (const present of [0x40, 0x80]) if ((flags & present) !== 0) at = readNumber(cursor, at, subject).next;
  if ((flags & 3) !== 0 || cursor.u8(at, "xz filter") !== LZMA2) {
    throw inputError(subject, "its xz data has filters beside LZMA2, which seal can't undo; pack it without them");
  }
  output.window = dictionarySize(cursor.u8(at + 2, "xz filter"));
  return alignUp(unpackLzma2(cursor, start + size, output, subject), 4);
}

/** Properties of LZMA2: two significant bits, and their place. */
function dictionarySize(byte: number): number {
  const bits = byte & 0x3f;
  return bits >= 40 ? 0xffff_ffff : (2 | (bits & 1)) * 2 ** ((bits >>> 1) + 11);
}

/** @returns the offset after the end marker */
function unpackLzma2(cursor: Reader, start: number, output: Output, subject: string): number {
  let at = start;
  let dictionaryStart = -1;
  let properties: LzmaProperties | null = null;
  let decoder: LzmaDecoder | null = null;
  for (;;) {
    const control = cursor.u8(at, "LZMA2 chunk");
    if (control === 0) return at + 1;
    if (control === 1 || control >= 0xe0) dictionaryStart = output.length;
    if (dictionaryStart < 0 || (control > 2 && control < 0x80)) throw damaged(subject);
    if (control <= 2) {
      const size = bigEndian(cursor, at + 1) + 1;
      output.append(cursor.slice(at + 3, size, "LZMA2 chunk"));
      at += 3 + size;
      continue;
    }
    const end = output.length + ((control & 0x1f) << 16) + bigEndian(cursor, at + 1) + 1;
    const packed = bigEndian(cursor, at + 3) + 1;
    at += 5;
    if (control >= 0xc0) properties = checkedProperties(cursor.u8(at++, "LZMA2 properties"), subject);
    if (control >= 0xa0 && properties !== null) decoder = new LzmaDecoder(properties, output, subject);
    if (decoder === null) throw damaged(subject);
    const range = new RangeDecoder(cursor, at, at + packed);
    if (decoder.decode(range, dictionaryStart, end) || !range.isFinished || range.position !== at + packed) {
      throw damaged(subject);
    }
    at += packed;
  }
}

/** LZMA2 allows no more. */
function checkedProperties(byte: number, subject: string): LzmaProperties {
  const properties = lzmaProperties(byte);
  if (properties === null || properties.lc + properties.lp > 4) throw damaged(subject);
  return properties;
}

/** Index and footer. @returns the offset after them */
function skipIndex(cursor: Reader, start: number, subject: string): number {
  const records = readNumber(cursor, start + 1, subject);
  let at = records.next;
  for (let left = records.value * 2; left > 0; left--) at = readNumber(cursor, at, subject).next;
  at = start + alignUp(at - start, 4);
  checkCrc(cursor, start, at - start, subject);
  at += 4 + HEADER_SIZE;
  if (cursor.u16(at - 2, "xz footer") !== FOOTER_MAGIC) throw damaged(subject);
  return at;
}

/** CRC32 of bytes, stored after them. */
function checkCrc(cursor: Reader, start: number, length: number, subject: string): void {
  const expected = cursor.u32(start + length, "xz CRC");
  if (crc32(cursor.slice(start, length, "xz header")) !== expected) throw damaged(subject);
}

/** Seven bits a byte, lowest first; one that counts things in memory has no more than five. */
function readNumber(cursor: Reader, start: number, subject: string): { value: number; next: number } {
  let value = 0;
  for (let index = 0; index < 5; index++) {
    const byte = cursor.u8(start + index, "xz number");
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return { value, next: start + index + 1 };
  }
  throw damaged(subject);
}

function bigEndian(cursor: Reader, offset: number): number {
  return (cursor.u8(offset, "LZMA2 size") << 8) | cursor.u8(offset + 1, "LZMA2 size");
}

/** Header of `.lzma`: properties, u32 size of the dictionary, u64 unpacked size or all ones. */
const LZMA_HEADER = 13;
/** Smaller ones are taken for this. */
const MIN_DICTIONARY = 1 << 12;
const UNKNOWN_SIZE = 2n ** 64n - 1n;

/**
 * @param cursor from the properties on
 * @returns how many of them the stream has
 * @throws SealError `input` for damaged data, and beyond the limit
 */
export function unpackLzma(cursor: Reader, output: Output): number {
  const { subject } = output;
  const properties = lzmaProperties(cursor.u8(0, "LZMA header"));
  if (properties === null) throw damaged(subject);
  const size = cursor.u64(5, "LZMA header");
  output.window = Math.max(cursor.u32(1, "LZMA header"), MIN_DICTIONARY);
  const range = new RangeDecoder(cursor, LZMA_HEADER, cursor.length);
  const end = size === UNKNOWN_SIZE ? null : Number(size);
  new LzmaDecoder(properties, output, subject).decode(range, 0, end);
  return range.position;
}
