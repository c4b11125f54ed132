/**
 * LZ4 (https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md; lz4_Block_format.md): the frame, and the
 * legacy frame, which is the only one that Linux unpacks (lib/decompress_unlz4.c), a magic number and blocks with
 * their size before them.
 */
import type { Reader } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { xxh32 } from "../xxh32.ts";
import type { Output } from "./output.ts";

const LZ4_LEGACY_MAGIC = 0x184c2102;
/** Of a frame: bits of its flags, and where the version in them must be 1. */
const [BLOCKS_ALONE, BLOCK_SUMS, SIZE, SUM, DICTIONARY] = [0x20, 0x10, 0x08, 0x04, 0x01] as const;
const VERSION_BITS = 0xc2;
const VERSION = 0x40;
/** A block that is not packed has this bit in its size. */
const PLAIN = 0x8000_0000;
/** What a block of a legacy frame unpacks to at most. */
const BLOCK_LIMIT = 8 << 20;
const MIN_MATCH = 4;

/**
 * Frames may follow each other; a block size of zero or the end of the input ends the last one.
 * @param cursor from the magic number on
 * @returns how many of them the stream has
 * @throws SealError `input` for damaged data, and beyond the limit
 */
export function unpackLz4(cursor: Reader, output: Output): number {
  const { subject } = output;
  output.window = BLOCK_LIMIT;
  let at = 4;
  while (at + 4 <= cursor.length) {
    const size = cursor.u32(at, "LZ4 block");
    at += 4;
    if (size === LZ4_LEGACY_MAGIC) continue;
    if (size === 0) break;
    unpackBlock(cursor.slice(at, size, "LZ4 block"), output, { reach: output.length, limit: BLOCK_LIMIT }, subject);
    at += size;
  }
  return at;
}

/**
 * One frame with its checksums, unpacked as a whole.
 * @param cursor from the magic number on
 * @returns how many of them it has
 * @throws SealError `input` for damaged data, beyond the limit, and for one that needs a dictionary
 */
export function unpackLz4Frame(cursor: Reader, output: Output): number {
  const { subject } = output;
  const damaged = () => inputError(subject, "its lz4 data is damaged");
  const [flags, sizes] = [cursor.u8(4, "LZ4 frame"), cursor.u8(5, "LZ4 frame")];
  if ((flags & VERSION_BITS) !== VERSION) throw damaged();
  if ((flags & DICTIONARY) !== 0) throw inputError(subject, "its lz4 data needs a dictionary; pack it without one");
  const blockLimit = 1 << (8 + 2 * ((sizes >>> 4) & 7));
  let at = (flags & SIZE) === 0 ? 6 : 14;
  const checksum = (xxh32(cursor.slice(4, at - 4, "LZ4 frame"), 0) >>> 8) & 0xff;
  if (cursor.u8(at++, "LZ4 frame") !== checksum) throw damaged();
  for (;;) {
    const size = cursor.u32(at, "LZ4 block");
    at += 4;
    if (size === 0) break;
    const block = cursor.slice(at, size & ~PLAIN, "LZ4 block");
    at += block.length;
    if (block.length > blockLimit) throw damaged();
    if (size >= PLAIN) output.append(block);
    else {
      const reach = (flags & BLOCKS_ALONE) === 0 ? 0 : output.length;
      unpackBlock(block, output, { reach, limit: blockLimit }, subject);
    }
    if ((flags & BLOCK_SUMS) === 0) continue;
    if (cursor.u32(at, "LZ4 checksum") !== xxh32(block, 0)) throw damaged();
    at += 4;
  }
  const unpacked = output.finish();
  if ((flags & SIZE) !== 0 && cursor.u64(6, "LZ4 frame") !== BigInt(unpacked.length)) throw damaged();
  if ((flags & SUM) !== 0) {
    if (cursor.u32(at, "LZ4 checksum") !== xxh32(unpacked, 0)) throw damaged();
    at += 4;
  }
  return at;
}

/** @param bounds where in the output matches may begin, and how much a block may become */
function unpackBlock(
  block: Uint8Array,
  output: Output,
  { reach, limit }: { readonly reach: number; readonly limit: number },
  subject: string,
): void {
  const start = output.length;
  const damaged = () => inputError(subject, "its lz4 data is damaged");
  let at = 0;
  const next = () => {
    const byte = block[at++];
    if (byte === undefined) throw damaged();
    return byte;
  };
  const longer = (length: number) => {
    let total = length;
    if (length === 15) {
      let more: number;
      do {
        more = next();
        total += more;
      } while (more === 255);
    }
    return total;
  };
  while (at < block.length) {
    const token = next();
    const literals = longer(token >>> 4);
    if (at + literals > block.length) throw damaged();
    output.append(block.subarray(at, at + literals));
    at += literals;
    // The last sequence has literals only.
    if (at === block.length) break;
    const distance = next() | (next() << 8);
    const length = longer(token & 15) + MIN_MATCH;
    if (distance === 0 || distance > output.length - reach) throw damaged();
    output.copy(distance, length);
    if (output.length - start > limit) throw damaged();
  }
}
