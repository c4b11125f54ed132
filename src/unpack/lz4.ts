/**
 * LZ4 as Linux unpacks it (lib/decompress_unlz4.c): the legacy frame, a magic number and blocks with their size before them
 * (https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md, "Legacy frame"; lz4_Block_format.md).
 */
import { Cursor } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { Output } from "./output.ts";
import type { Unpacked } from "./unpack.ts";

export const LZ4_LEGACY_MAGIC = 0x184c2102;
/** What a block of a legacy frame unpacks to at most. */
const BLOCK_LIMIT = 8 << 20;
const MIN_MATCH = 4;

/**
 * Frames may follow each other; a block size of zero or the end of the input ends the last one.
 * @param bytes from the magic number on
 * @throws SealError `input` for damaged data, and beyond the limit
 */
export function unpackLz4(bytes: Uint8Array, limit: number, subject: string): Unpacked {
  const cursor = new Cursor(bytes, subject);
  const output = new Output(limit, subject);
  let at = 4;
  while (at + 4 <= bytes.length) {
    const size = cursor.u32(at, "LZ4 block");
    at += 4;
    if (size === LZ4_LEGACY_MAGIC) continue;
    if (size === 0) break;
    unpackBlock(cursor.slice(at, size, "LZ4 block"), output, subject);
    at += size;
  }
  return { bytes: output.finish(), consumed: at };
}

function unpackBlock(block: Uint8Array, output: Output, subject: string): void {
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
    if (distance === 0 || distance > output.length - start) throw damaged();
    output.copy(distance, length);
    if (output.length - start > BLOCK_LIMIT) throw damaged();
  }
}
