/** Sets of bytes, as character classes over bytes are. */

/** 256 bits, 32 in each word. */
export type ByteSet = Uint32Array;

/** The set of the given inclusive ranges, as pairs in a row: `byteSet(0x30, 0x39, 0x5f, 0x5f)`. */
export function byteSet(...ranges: readonly number[]): ByteSet {
  const set = new Uint32Array(8);
  for (let i = 0; i + 1 < ranges.length; i += 2) addRange(set, ranges[i] as number, ranges[i + 1] as number);
  return set;
}

export function addRange(set: ByteSet, from: number, to: number): void {
  for (let byte = from; byte <= to; byte++) set[byte >>> 5] = (set[byte >>> 5] as number) | (1 << (byte & 31));
}

export function hasByte(set: ByteSet, byte: number): boolean {
  return (((set[byte >>> 5] as number) >>> (byte & 31)) & 1) === 1;
}

/** Both sets combined bit by bit, in place of the first one. */
export function combine(
  set: ByteSet,
  other: ByteSet,
  how: "union" | "intersection" | "difference" | "symmetric",
): void {
  for (let i = 0; i < 8; i++) {
    const a = set[i] as number;
    const b = other[i] as number;
    if (how === "union") set[i] = a | b;
    else if (how === "intersection") set[i] = a & b;
    else if (how === "difference") set[i] = a & ~b;
    else set[i] = a ^ b;
  }
}

export function negate(set: ByteSet): void {
  for (let i = 0; i < 8; i++) set[i] = ~(set[i] as number);
}

/** Adds the other case of every ASCII letter in the set. */
export function foldCase(set: ByteSet): void {
  for (let upper = 0x41; upper <= 0x5a; upper++) {
    const lower = upper + 0x20;
    if (hasByte(set, upper)) addRange(set, lower, lower);
    else if (hasByte(set, lower)) addRange(set, upper, upper);
  }
}

/** `\d`, `\s`, `\w` in ASCII. */
export const PERL_CLASSES: Readonly<Record<"d" | "s" | "w", ByteSet>> = {
  d: byteSet(0x30, 0x39),
  s: byteSet(0x09, 0x0d, 0x20, 0x20),
  w: byteSet(0x30, 0x39, 0x41, 0x5a, 0x5f, 0x5f, 0x61, 0x7a),
};

/** `[:name:]` in ASCII. */
export const POSIX_CLASSES: ReadonlyMap<string, ByteSet> = new Map([
  ["alnum", byteSet(0x30, 0x39, 0x41, 0x5a, 0x61, 0x7a)],
  ["alpha", byteSet(0x41, 0x5a, 0x61, 0x7a)],
  ["ascii", byteSet(0x00, 0x7f)],
  ["blank", byteSet(0x09, 0x09, 0x20, 0x20)],
  ["cntrl", byteSet(0x00, 0x1f, 0x7f, 0x7f)],
  ["digit", PERL_CLASSES.d],
  ["graph", byteSet(0x21, 0x7e)],
  ["lower", byteSet(0x61, 0x7a)],
  ["print", byteSet(0x20, 0x7e)],
  ["punct", byteSet(0x21, 0x2f, 0x3a, 0x40, 0x5b, 0x60, 0x7b, 0x7e)],
  ["space", PERL_CLASSES.s],
  ["upper", byteSet(0x41, 0x5a)],
  ["word", PERL_CLASSES.w],
  ["xdigit", byteSet(0x30, 0x39, 0x41, 0x46, 0x61, 0x66)],
]);
