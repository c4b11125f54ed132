/**
 * bzip2 (https://github.com/dsnet/compress/blob/master/doc/bzip2-format.pdf): blocks of up to 900 kB, each sorted
 * (Burrows-Wheeler), moved to front, its runs shortened, and coded by several Huffman codes that take turns.
 */
import type { Reader } from "../bytes.ts";
import { damaged, type Output } from "./output.ts";

/** After "BZh" and a digit come blocks and the end, marked by 48 bits: the digits of π and of its square root. */
const [BLOCK, END] = [0x314159265359, 0x177245385090] as const;
const LEVEL_BYTES = 100_000;
const GROUP_SYMBOLS = 50;
const MAX_CODE_LENGTH = 20;
const [RUN_A, RUN_B] = [0, 1] as const;

/** Bits, highest first. */
class BitReader {
  readonly #cursor: Reader;
  #at: number;
  #bits = 0;
  #count = 0;

  constructor(cursor: Reader, start: number) {
    this.#cursor = cursor;
    this.#at = start;
  }

  /** Offset of the next whole byte. */
  get position(): number {
    return this.#at;
  }

  /** @param count up to 24 */
  read(count: number): number {
    while (this.#count < count) {
      this.#bits = ((this.#bits << 8) | this.#cursor.u8(this.#at++, "bzip2 data")) >>> 0;
      this.#count += 8;
    }
    this.#count -= count;
    const value = this.#bits >>> this.#count;
    this.#bits &= (1 << this.#count) - 1;
    return value;
  }

  read32(): number {
    return this.read(16) * 0x1_0000 + this.read(16);
  }

  read48(): number {
    return this.read(24) * 0x100_0000 + this.read(24);
  }
}

/**
 * @param cursor from the magic number on
 * @returns how many of them the stream has
 * @throws SealError `input` for damaged data, and beyond the limit
 */
export function unpackBzip2(cursor: Reader, output: Output): number {
  const { subject } = output;
  // Blocks are independent; only runs look back.
  output.window = 1;
  const level = cursor.u8(3, "bzip2 header") - 0x30;
  if (level < 1 || level > 9) throw damaged(subject, "bzip2");
  const reader = new BitReader(cursor, 4);
  const sorted = new Uint32Array(level * LEVEL_BYTES);
  let total = 0;
  for (;;) {
    const magic = reader.read48();
    if (magic === END) break;
    if (magic !== BLOCK) throw damaged(subject, "bzip2");
    const expected = reader.read32();
    output.startSum(checksum);
    unpackBlock(reader, sorted, output, subject);
    const sum = output.finishSum();
    if (sum !== expected) throw damaged(subject, "bzip2");
    total = (((total << 1) | (total >>> 31)) ^ sum) >>> 0;
  }
  if (reader.read32() !== total) throw damaged(subject, "bzip2");
  return reader.position;
}

function unpackBlock(reader: BitReader, sorted: Uint32Array, output: Output, subject: string): void {
  // Blocks that were shuffled are none that a program of the last twenty years writes.
  if (reader.read(1) !== 0) throw damaged(subject, "bzip2");
  const first = reader.read(24);
  const count = readSymbols(reader, sorted, subject);
  if (first >= count) throw damaged(subject, "bzip2");
  unsort(sorted, count, first, output);
}

/** Huffman codes, runs and moves to front undone. @returns how many bytes the block has, which are in `sorted` */
function readSymbols(reader: BitReader, sorted: Uint32Array, subject: string): number {
  const order = readAlphabet(reader);
  const end = order.length + 1;
  if (order.length === 0) throw damaged(subject, "bzip2");
  const codes = reader.read(3);
  const groups = reader.read(15);
  if (codes < 2 || codes > 6 || groups === 0) throw damaged(subject, "bzip2");
  const selectors = readSelectors(reader, groups, codes, subject);
  const tables = Array.from({ length: codes }, () => readCode(reader, end + 1, subject));
  let count = 0;
  let run = 0;
  let weight = 1;
  const finishRun = () => {
    if (count + run > sorted.length) throw damaged(subject, "bzip2");
    sorted.fill(order[0] as number, count, count + run);
    count += run;
    [run, weight] = [0, 1];
  };
  for (const selector of selectors) {
    const table = tables[selector] as Code;
    for (let left = GROUP_SYMBOLS; left > 0; left--) {
      const symbol = readSymbol(reader, table, subject);
      if (symbol === RUN_A || symbol === RUN_B) {
        run += weight << symbol;
        weight *= 2;
        if (run > sorted.length) throw damaged(subject, "bzip2");
        continue;
      }
      finishRun();
      if (symbol === end) return count;
      if (count === sorted.length) throw damaged(subject, "bzip2");
      const value = order[symbol - 1] as number;
      order.copyWithin(1, 0, symbol - 1);
      order[0] = value;
      sorted[count++] = value;
    }
  }
  throw damaged(subject, "bzip2");
}

/** Which bytes the block has, in order: a bit for each sixteen of them, then a bit for each. */
function readAlphabet(reader: BitReader): Uint8Array {
  const rows = reader.read(16);
  const bytes: number[] = [];
  for (let row = 0; row < 16; row++) {
    if ((rows & (0x8000 >>> row)) === 0) continue;
    const columns = reader.read(16);
    for (let column = 0; column < 16; column++)
      if ((columns & (0x8000 >>> column)) !== 0) bytes.push(row * 16 + column);
  }
  return Uint8Array.from(bytes);
}

/** Which code each group of symbols is in, moved to front. */
function readSelectors(reader: BitReader, groups: number, codes: number, subject: string): Uint8Array {
  const order = Uint8Array.from({ length: codes }, (_, index) => index);
  return Uint8Array.from({ length: groups }, () => {
    let place = 0;
    while (reader.read(1) === 1) if (++place >= codes) throw damaged(subject, "bzip2");
    const code = order[place] as number;
    order.copyWithin(1, 0, place);
    order[0] = code;
    return code;
  });
}

/** A canonical Huffman code. */
interface Code {
  /** Symbols, those with short codes first. */
  readonly symbols: readonly number[];
  /** How many codes there are of each length. */
  readonly counts: Uint16Array;
}

/** The lengths of the codes, each as the difference from the one before. */
function readCode(reader: BitReader, symbols: number, subject: string): Code {
  let length = reader.read(5);
  const lengths = Array.from({ length: symbols }, () => {
    while (reader.read(1) === 1) length += reader.read(1) === 0 ? 1 : -1;
    if (length < 1 || length > MAX_CODE_LENGTH) throw damaged(subject, "bzip2");
    return length;
  });
  const counts = new Uint16Array(MAX_CODE_LENGTH + 1);
  for (const one of lengths) counts[one] = (counts[one] as number) + 1;
  const order = lengths.map((_, symbol) => symbol).toSorted((a, b) => (lengths[a] as number) - (lengths[b] as number));
  return { symbols: order, counts };
}

function readSymbol(reader: BitReader, { symbols, counts }: Code, subject: string): number {
  let code = 0;
  let first = 0;
  let index = 0;
  for (let length = 1; length <= MAX_CODE_LENGTH; length++) {
    code |= reader.read(1);
    const count = counts[length] as number;
    if (code - first < count) return symbols[index + code - first] as number;
    index += count;
    first = (first + count) << 1;
    code <<= 1;
  }
  throw damaged(subject, "bzip2");
}

/** The inverse Burrows-Wheeler transform, then runs: four equal bytes are followed by a count of further ones. */
function unsort(sorted: Uint32Array, count: number, first: number, output: Output): void {
  const places = new Uint32Array(256);
  for (let index = 0; index < count; index++) {
    const byte = (sorted[index] as number) & 0xff;
    places[byte] = (places[byte] as number) + 1;
  }
  for (let byte = 0, sum = 0; byte < 256; byte++) {
    const own = places[byte] as number;
    places[byte] = sum;
    sum += own;
  }
  // Each byte is stored with the place of the next one.
  for (let index = 0; index < count; index++) {
    const byte = (sorted[index] as number) & 0xff;
    const place = places[byte] as number;
    places[byte] = place + 1;
    sorted[place] = ((sorted[place] as number) | (index << 8)) >>> 0;
  }
  let at = (sorted[first] as number) >>> 8;
  let equal = 0;
  let last = -1;
  for (let left = count; left > 0; left--) {
    const entry = sorted[at] as number;
    const byte = entry & 0xff;
    at = entry >>> 8;
    if (equal === 4) {
      output.copy(1, byte);
      [equal, last] = [0, -1];
      continue;
    }
    equal = byte === last ? equal + 1 : 1;
    last = byte;
    output.push(byte);
  }
}

/** CRC-32 with the highest bit first. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index << 24;
  for (let bit = 0; bit < 8; bit++) value = (value << 1) ^ (value < 0 ? 0x04c1_1db7 : 0);
  return value >>> 0;
});

function checksum(bytes: Uint8Array, previous: number): number {
  let sum = ~previous;
  for (let index = 0; index < bytes.length; index++) {
    sum = (sum << 8) ^ (CRC_TABLE[(sum >>> 24) ^ (bytes[index] as number)] as number);
  }
  return ~sum >>> 0;
}
