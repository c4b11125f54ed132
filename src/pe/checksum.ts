/** The CheckSum field of PE/COFF images: what ImageHlp's CheckSumMappedFile computes (PE Format, "Optional header"). */
import { byteLength, type Chunks, readRange } from "../bytes.ts";

/** 32-bit words that can be added in a double before its 53 bits are full. */
const WORDS_PER_FOLD = 2 ** 20;

/**
 * The checksum of a whole image: the 16-bit little-endian words added with end-around carry, the checksum field itself
 * as zeros and an odd last byte as a word, plus the length of the file.
 * @param checksumOffset where the 4-byte checksum field stands
 */
export function peChecksum(file: Chunks, checksumOffset: number): number {
  const length = byteLength(file);
  const before = sumWords(readRange(file, 0, checksumOffset), 0);
  const after = sumWords(readRange(file, checksumOffset + 4, length), checksumOffset + 4);
  return fold(before + after) + length;
}

/** End-around-carry sum of parts that follow each other from file offset `start`. */
function sumWords(parts: Iterable<Uint8Array>, start: number): number {
  let offset = start;
  let sum = 0;
  for (const part of parts) {
    // Bytes at odd offsets are the high halves of their words: in end-around-carry arithmetic that is a factor of 256.
    const weight = offset % 2 === 0 ? 1 : 256;
    sum = fold(sum + weight * sumPart(part));
    offset += part.length;
  }
  return sum;
}

/** The sum of one part as if it began at an even offset; two words at a time, which comes to the same modulo 2^16 - 1. */
function sumPart(part: Uint8Array): number {
  const view = new DataView(part.buffer, part.byteOffset, part.byteLength);
  const wholeWords = part.length - (part.length % 4);
  let sum = 0;
  for (let blockStart = 0; blockStart < wholeWords; blockStart += 4 * WORDS_PER_FOLD) {
    const blockEnd = Math.min(blockStart + 4 * WORDS_PER_FOLD, wholeWords);
    let block = 0;
    for (let index = blockStart; index < blockEnd; index += 4) block += view.getUint32(index, true);
    sum = fold(sum + fold(block));
  }
  for (let index = wholeWords; index < part.length; index++) sum += view.getUint8(index) << (8 * (index % 2));
  return fold(sum);
}

/** Adds what is above 16 bits to what is below until nothing is above. */
function fold(value: number): number {
  let folded = value;
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000);
  return folded;
}
