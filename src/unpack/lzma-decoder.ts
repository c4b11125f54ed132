/**
 * LZMA (https://www.7-zip.org/sdk.html, lzma-specification.txt): literals and matches by a state machine
 * over a range decoder.
 */
import type { Output } from "./output.ts";
import { damaged } from "./output.ts";
import { HALF, type RangeDecoder } from "./range-decoder.ts";

/** Bits of context for literals (lc, lp) and for the alignment of positions (pb). */
export interface LzmaProperties {
  readonly lc: number;
  readonly lp: number;
  readonly pb: number;
}

/** @returns null for a byte that encodes none */
export function lzmaProperties(byte: number): LzmaProperties | null {
  if (byte >= 9 * 5 * 5) return null;
  const rest = Math.floor(byte / 9);
  return { lc: byte % 9, lp: rest % 5, pb: Math.floor(rest / 5) };
}

const STATES = 12;
/** States from here on follow a match, not a literal. */
const FIRST_MATCH_STATE = 7;
const MIN_MATCH = 2;
const LENGTH_STATES = 4;
/** Offsets in the array of probabilities; `<< 4`: one for each position state. */
const IS_MATCH = 0;
const IS_REP = IS_MATCH + (STATES << 4);
const IS_REP_G0 = IS_REP + STATES;
const IS_REP_G1 = IS_REP_G0 + STATES;
const IS_REP_G2 = IS_REP_G1 + STATES;
const IS_REP0_LONG = IS_REP_G2 + STATES;
const SLOT = IS_REP0_LONG + (STATES << 4);
const SPECIAL = SLOT + LENGTH_STATES * 64;
const ALIGN = SPECIAL + 128;
const LENGTH = ALIGN + 16;
/** Of a length decoder: two choices, then low and mid for each position state, then high. */
const [CHOICE, CHOICE2, LOW, MID, HIGH] = [0, 1, 2, 2 + (16 << 3), 2 + (32 << 3)] as const;
const LENGTH_SIZE = HIGH + 256;
const REP_LENGTH = LENGTH + LENGTH_SIZE;
const LITERAL = REP_LENGTH + LENGTH_SIZE;

/** The end marker is a match at this distance. */
const END_MARKER = 0xffff_ffff;

export class LzmaDecoder {
  readonly #output: Output;
  readonly #subject: string;
  readonly #properties: LzmaProperties;
  readonly #probabilities: Uint16Array;
  #state = 0;
  #rep0 = 0;
  #rep1 = 0;
  #rep2 = 0;
  #rep3 = 0;

  constructor(properties: LzmaProperties, output: Output, subject: string) {
    this.#properties = properties;
    this.#output = output;
    this.#subject = subject;
    this.#probabilities = new Uint16Array(LITERAL + (0x300 << (properties.lc + properties.lp))).fill(HALF);
  }

  /**
   * Decodes until so many bytes are there, or to the end marker.
   * @param dictionaryStart where in the output the dictionary begins: matches do not reach farther back
   * @param end length of the output at the end; null: there is an end marker
   * @returns whether an end marker was met
   * @throws SealError `input` for damaged data
   */
  decode(decoder: RangeDecoder, dictionaryStart: number, end: number | null): boolean {
    const output = this.#output;
    const probabilities = this.#probabilities;
    const { window } = output;
    const positionMask = (1 << this.#properties.pb) - 1;
    while (end === null || output.length < end) {
      const position = output.length - dictionaryStart;
      const positionState = position & positionMask;
      const state = this.#state;
      if (decoder.bit(probabilities, IS_MATCH + (state << 4) + positionState) === 0) {
        this.#literal(decoder, position, Math.min(position, window));
        continue;
      }
      let length: number;
      if (decoder.bit(probabilities, IS_REP + state) === 0) {
        [this.#rep3, this.#rep2, this.#rep1] = [this.#rep2, this.#rep1, this.#rep0];
        length = this.#length(decoder, LENGTH, positionState);
        this.#state = state < FIRST_MATCH_STATE ? 7 : 10;
        this.#rep0 = this.#distance(decoder, length - MIN_MATCH);
        if (this.#rep0 === END_MARKER) return true;
      } else if (this.#rep(decoder, state, positionState)) {
        length = 1;
      } else {
        length = this.#length(decoder, REP_LENGTH, positionState);
        this.#state = state < FIRST_MATCH_STATE ? 8 : 11;
      }
      if (this.#rep0 >= Math.min(position, window) || (end !== null && output.length + length > end))
        throw damaged(this.#subject);
      output.copy(this.#rep0 + 1, length);
    }
    return false;
  }

  /** @param reach how far back there is something */
  #literal(decoder: RangeDecoder, position: number, reach: number): void {
    const { lc, lp } = this.#properties;
    const output = this.#output;
    const probabilities = this.#probabilities;
    const previous = position === 0 ? 0 : output.back(1);
    const context = ((position & ((1 << lp) - 1)) << lc) + (previous >>> (8 - lc));
    const base = LITERAL + 0x300 * context;
    let symbol = 1;
    if (this.#state >= FIRST_MATCH_STATE) {
      if (this.#rep0 >= reach) throw damaged(this.#subject);
      let match = output.back(this.#rep0 + 1);
      while (symbol < 0x100) {
        const matchBit = (match >>> 7) & 1;
        match <<= 1;
        const bit = decoder.bit(probabilities, base + ((1 + matchBit) << 8) + symbol);
        symbol = (symbol << 1) | bit;
        if (matchBit !== bit) break;
      }
    }
    while (symbol < 0x100) symbol = (symbol << 1) | decoder.bit(probabilities, base + symbol);
    output.push(symbol & 0xff);
    this.#state = this.#state < 4 ? 0 : this.#state < 10 ? this.#state - 3 : this.#state - 6;
  }

  /** One of the last four distances again, which becomes the last one. @returns whether it is a match of one byte */
  #rep(decoder: RangeDecoder, state: number, positionState: number): boolean {
    const probabilities = this.#probabilities;
    if (decoder.bit(probabilities, IS_REP_G0 + state) === 0) {
      if (decoder.bit(probabilities, IS_REP0_LONG + (state << 4) + positionState) === 1) return false;
      this.#state = state < FIRST_MATCH_STATE ? 9 : 11;
      return true;
    }
    let distance = this.#rep1;
    if (decoder.bit(probabilities, IS_REP_G1 + state) === 1) {
      distance = this.#rep2;
      if (decoder.bit(probabilities, IS_REP_G2 + state) === 1) {
        distance = this.#rep3;
        this.#rep3 = this.#rep2;
      }
      this.#rep2 = this.#rep1;
    }
    this.#rep1 = this.#rep0;
    this.#rep0 = distance;
    return false;
  }

  #length(decoder: RangeDecoder, base: number, positionState: number): number {
    const probabilities = this.#probabilities;
    if (decoder.bit(probabilities, base + CHOICE) === 0) {
      return MIN_MATCH + decoder.tree(probabilities, base + LOW + (positionState << 3), 3);
    }
    if (decoder.bit(probabilities, base + CHOICE2) === 0) {
      return MIN_MATCH + 8 + decoder.tree(probabilities, base + MID + (positionState << 3), 3);
    }
    return MIN_MATCH + 16 + decoder.tree(probabilities, base + HIGH, 8);
  }

  /** Of a match, less one. @param excess how much longer than the shortest it is */
  #distance(decoder: RangeDecoder, excess: number): number {
    const probabilities = this.#probabilities;
    const slot = decoder.tree(probabilities, SLOT + (Math.min(excess, LENGTH_STATES - 1) << 6), 6);
    if (slot < 4) return slot;
    const directBits = (slot >>> 1) - 1;
    const distance = ((2 | (slot & 1)) << directBits) >>> 0;
    if (slot < 14) return distance + decoder.reverseTree(probabilities, SPECIAL + distance - slot, directBits);
    const high = decoder.direct(directBits - 4) * 16;
    return distance + high + decoder.reverseTree(probabilities, ALIGN, 4);
  }
}
