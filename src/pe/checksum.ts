/** The CheckSum field of PE/COFF images: what ImageHlp's CheckSumMappedFile computes (PE Format, "Optional header"). */
import { byteLength, type Chunks, forEachPiece } from "../chunks.ts";

/**
 * 32-bit words that are added up in one call, which has to be made often: V8 makes good code of functions that are
 * called, and later of a loop that goes on and on. The halves of so many add up to less than 2^31.
 */
const BLOCK = 1 << 14;

/**
 * The checksum of a whole image: the 16-bit little-endian words added with end-around carry, the checksum field itself
 * as zeros and an odd last byte as a word, plus the length of the file.
 * @param checksumOffset of the 4-byte checksum field
 * @param known a range after that field that has been summed already
 */
export function peChecksum(file: Chunks, checksumOffset: number, known: RangeSum | null = null): number {
  const length = byteLength(file);
  const sum = (start: number, end: number) => {
    const range = new RangeSum(file, start, end);
    range.finish();
    return range.sum;
  };
  const start = checksumOffset + 4;
  const behind = known === null ? sum(start, length) : sum(start, known.start) + known.sum + sum(known.end, length);
  return fold(sum(0, checksumOffset) + behind) + length;
}

/**
 * The end-around-carry sum of a range of a file whose pieces may come by: what the range adds to the
 * checksum of the file.
 */
export class RangeSum {
  readonly start: number;
  readonly end: number;
  readonly #file: Chunks;
  #position: number;
  #sum = 0;

  constructor(file: Chunks, start: number, end: number) {
    this.#file = file;
    this.start = start;
    this.end = end;
    this.#position = start;
  }

  /**
   * Adds what a piece of the file has of the range, if it begins where the sum ends.
   * @param at offset of the piece in the file
   */
  take(piece: Uint8Array, at: number): void {
    const end = Math.min(this.end, at + piece.length);
    if (at <= this.#position && this.#position < end) this.#add(piece.subarray(this.#position - at, end - at));
  }

  /** Adds what has not been taken. */
  finish(): void {
    if (this.#position < this.end) forEachPiece(this.#file, this.#position, this.end, (piece) => this.#add(piece));
  }

  #add(part: Uint8Array): void {
    // Bytes at odd offsets are the high halves of their words: in end-around-carry arithmetic that is a factor of 256.
    const weight = this.#position % 2 === 0 ? 1 : 256;
    this.#sum = fold(this.#sum + weight * sumPart(part));
    this.#position += part.length;
  }

  /** Of the bytes added so far; 0 to 0xffff. */
  get sum(): number {
    return this.#sum;
  }
}

/**
 * The sum of one part as if it began at an even offset; two words at a time, which comes to the same modulo 2^16 - 1.
 */
function sumPart(part: Uint8Array): number {
  const wholeWords = part.length - (part.length % 4);
  const words = wordsOf(part, wholeWords);
  let sum = 0;
  for (let start = 0; start < words.length; start += BLOCK) {
    sum = fold(sum + sumWords(words, start, Math.min(start + BLOCK, words.length)));
  }
  for (let index = wholeWords; index < part.length; index++) sum += (part[index] ?? 0) << (8 * (index % 2));
  return fold(sum);
}

/** The first bytes of a part as 32-bit little-endian words: a view of it, or a copy where there can be none. */
function wordsOf(part: Uint8Array, length: number): Int32Array {
  if (IS_LITTLE_ENDIAN && part.byteOffset % 4 === 0) return new Int32Array(part.buffer, part.byteOffset, length / 4);
  const view = new DataView(part.buffer, part.byteOffset, length);
  return Int32Array.from({ length: length / 4 }, (_, index) => view.getInt32(4 * index, true));
}
const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/**
 * The halves of the words of a block added up, each less than 2^31: so V8 adds integers, in an eighth of the time that
 * it takes for doubles.
 */
function sumWords(words: Int32Array, start: number, end: number): number {
  let low = 0;
  let high = 0;
  for (let index = start; index < end; index++) {
    const word = words[index] as number;
    low = (low + (word & 0xffff)) | 0;
    high = (high + (word >>> 16)) | 0;
  }
  return low + high;
}

/** Adds what is above 16 bits to what is below until nothing is above. */
function fold(value: number): number {
  let folded = value;
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000);
  return folded;
}
