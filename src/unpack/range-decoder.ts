/**
 * The range decoder of LZMA (https://www.7-zip.org/sdk.html, lzma-specification.txt): adaptive binary
 * probabilities of 11 bits.
 */
import type { Reader } from "../bytes.ts";
import { damaged } from "./output.ts";

const MODEL_BITS = 11;
const MOVE_BITS = 5;
const TOP = 2 ** 24;
/** Of every probability at first: one half. */
export const HALF = 1 << (MODEL_BITS - 1);
const INITIAL_BYTES = 5;
/** The input is looked at in pieces of this size. A chunk of LZMA2 has no more. */
const PIECE = 1 << 16;

export class RangeDecoder {
  readonly #input: Reader;
  readonly #end: number;
  #at: number;
  /** A piece of the input, and where it begins there. */
  #piece: Uint8Array = new Uint8Array();
  #start: number;
  #range = 0xffff_ffff;
  #code = 0;

  /** @param start offset of its first five bytes; @param end after its last byte */
  constructor(input: Reader, start: number, end: number) {
    this.#input = input;
    this.#end = end;
    this.#at = start;
    this.#start = start;
    if (end - start < INITIAL_BYTES || this.#byte(0) !== 0) throw damaged(input.subject);
    for (let index = 1; index < INITIAL_BYTES; index++) this.#code = ((this.#code << 8) | this.#byte(index)) >>> 0;
    this.#at = start + INITIAL_BYTES;
  }

  /** After the last byte that was read. */
  get position(): number {
    return this.#at;
  }

  /** Whether nothing is left over, as at the end of a chunk. */
  get isFinished(): boolean {
    return this.#code === 0;
  }

  /** One bit with the probability at `index`, which adapts. */
  bit(probabilities: Uint16Array, index: number): 0 | 1 {
    const probability = probabilities[index] as number;
    const bound = (this.#range >>> MODEL_BITS) * probability;
    let bit: 0 | 1;
    if (this.#code < bound) {
      this.#range = bound;
      probabilities[index] = probability + (((1 << MODEL_BITS) - probability) >>> MOVE_BITS);
      bit = 0;
    } else {
      this.#range = (this.#range - bound) >>> 0;
      this.#code = (this.#code - bound) >>> 0;
      probabilities[index] = probability - (probability >>> MOVE_BITS);
      bit = 1;
    }
    if (this.#range < TOP) this.#normalize();
    return bit;
  }

  /** Bits that are as likely 0 as 1, highest first. */
  direct(count: number): number {
    let value = 0;
    for (let left = count; left > 0; left--) {
      this.#range >>>= 1;
      const bit = this.#code >= this.#range ? 1 : 0;
      if (bit === 1) this.#code = (this.#code - this.#range) >>> 0;
      value = (value << 1) | bit;
      if (this.#range < TOP) this.#normalize();
    }
    return value >>> 0;
  }

  /** A number of `count` bits, highest first, by a tree of probabilities from `base` on. */
  tree(probabilities: Uint16Array, base: number, count: number): number {
    let node = 1;
    for (let left = count; left > 0; left--) node = (node << 1) | this.bit(probabilities, base + node);
    return node - (1 << count);
  }

  /** The same, lowest bit first. */
  reverseTree(probabilities: Uint16Array, base: number, count: number): number {
    let node = 1;
    let value = 0;
    for (let index = 0; index < count; index++) {
      const bit = this.bit(probabilities, base + node);
      node = (node << 1) | bit;
      value |= bit << index;
    }
    return value;
  }

  #normalize(): void {
    this.#range = (this.#range << 8) >>> 0;
    this.#code = ((this.#code << 8) | this.#byte(0)) >>> 0;
    this.#at++;
  }

  #byte(offset: number): number {
    const at = this.#at + offset;
    if (at - this.#start >= this.#piece.length) {
      if (at >= this.#end) throw damaged(this.#input.subject);
      this.#piece = this.#input.slice(at, Math.min(PIECE, this.#end - at), "LZMA data");
      this.#start = at;
    }
    return this.#piece[at - this.#start] as number;
  }
}
