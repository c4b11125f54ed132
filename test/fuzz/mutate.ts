/**
 * Damaged and hostile files, made of sound ones. fast-check makes the changes, so that it can make a
 * failing one smaller.
 */
import fc from "fast-check";

type Change =
  | { readonly kind: "flip"; readonly at: number; readonly bit: number }
  | { readonly kind: "set"; readonly at: number; readonly value: number }
  | { readonly kind: "cut"; readonly at: number }
  | { readonly kind: "remove"; readonly at: number; readonly length: number }
  | { readonly kind: "repeat"; readonly at: number; readonly length: number; readonly times: number }
  | { readonly kind: "insert"; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: "token"; readonly at: number; readonly token: number; readonly over: boolean }
  /** A piece of another file, in place of what is there. */
  | {
      readonly kind: "splice";
      readonly at: number;
      readonly seed: number;
      readonly from: number;
      readonly length: number;
    }
  /** One of the fields that the target knows, over another one. */
  | { readonly kind: "field"; readonly from: number; readonly to: number }
  /** An integer as lengths, offsets and counts are stored. */
  | {
      readonly kind: "number";
      readonly at: number;
      readonly width: 1 | 2 | 4 | 8;
      readonly big: boolean;
      readonly value: NumberChange;
    };

type NumberChange =
  | { readonly kind: "add"; readonly delta: number }
  | { readonly kind: "length"; readonly delta: number }
  | { readonly kind: "limit"; readonly bits: number; readonly delta: number }
  | { readonly kind: "any"; readonly value: bigint };

const place = fc.nat(1 << 20);
const small = fc.integer({ min: -9, max: 9 });
const CHANGES: readonly fc.WeightedArbitrary<Change>[] = [
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("flip" as const), at: place, bit: fc.nat(7) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("set" as const), at: place, value: fc.nat(255) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cut" as const), at: place }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("remove" as const), at: place, length: fc.integer({ min: 1, max: 600 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("repeat" as const),
      at: place,
      length: fc.integer({ min: 1, max: 600 }),
      times: fc.integer({ min: 1, max: 40 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("insert" as const),
      at: place,
      bytes: fc.uint8Array({ minLength: 1, maxLength: 20 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("token" as const), at: place, token: place, over: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("splice" as const),
      at: place,
      seed: place,
      from: place,
      length: fc.integer({ min: 1, max: 4096 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("number" as const),
      at: place,
      width: fc.constantFrom(1, 2, 4, 8),
      big: fc.boolean(),
      value: fc.oneof(
        fc.record({ kind: fc.constant("add" as const), delta: small }),
        fc.record({ kind: fc.constant("length" as const), delta: small }),
        fc.record({ kind: fc.constant("limit" as const), bits: fc.integer({ min: 0, max: 64 }), delta: small }),
        fc.record({ kind: fc.constant("any" as const), value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) }),
      ),
    }),
  },
];
/** For formats in which places refer to each other: a reference that is another one is what chance does not find. */
const FIELD_CHANGE: fc.WeightedArbitrary<Change> = {
  weight: 6,
  arbitrary: fc.record({ kind: fc.constant("field" as const), from: place, to: place }),
};

/** Where eight bytes of a seed are a value that other places of the file have too, as references are. */
export type Fields = (seed: Uint8Array) => readonly number[];
const FIELD_SIZE = 8;

/**
 * Files that begin as one of the seeds, with up to six changes.
 * @param tokens what the format gives a meaning to; texts of it are put in and written over others
 * @param fields what is written over others of the same file
 */
export function mutations(
  seeds: readonly Uint8Array[],
  tokens: readonly string[],
  fields: Fields | undefined,
): fc.Arbitrary<Uint8Array> {
  const words = tokens.map((token) => Buffer.from(token, "latin1"));
  const change = fc.oneof(...CHANGES, ...(fields === undefined ? [] : [FIELD_CHANGE]));
  const places = seeds.map((seed) => fields?.(seed) ?? []);
  return fc.tuple(fc.nat(seeds.length - 1), fc.array(change, { minLength: 1, maxLength: 6 })).map(([seed, changes]) => {
    const material = { seeds, words, fields: places[seed] ?? [] };
    // Not a Buffer: what is compared must not depend on the class of the input.
    return new Uint8Array(
      changes.reduce<Buffer>((bytes, one) => applied(bytes, one, material), Buffer.from(seeds[seed] ?? [])),
    );
  });
}

/** What changes draw from. */
interface Material {
  readonly seeds: readonly Uint8Array[];
  readonly words: readonly Buffer[];
  readonly fields: readonly number[];
}

function applied(bytes: Buffer, change: Change, { seeds, words, fields }: Material): Buffer {
  const at = bytes.length === 0 || change.kind === "field" ? 0 : change.at % bytes.length;
  const replaced = (length: number, ...by: readonly Uint8Array[]) =>
    Buffer.concat([bytes.subarray(0, at), ...by, bytes.subarray(at + length)]);
  switch (change.kind) {
    case "flip":
      return replaced(1, Buffer.of((bytes[at] ?? 0) ^ (1 << change.bit)));
    case "set":
      return replaced(1, Buffer.of(change.value));
    case "cut":
      return bytes.subarray(0, at);
    case "remove":
      return replaced(change.length);
    case "repeat": {
      const piece = bytes.subarray(at, at + change.length);
      return replaced(0, ...Array.from({ length: change.times }, () => piece));
    }
    case "insert":
      return replaced(0, change.bytes);
    case "token": {
      const word = words[change.token % Math.max(words.length, 1)] ?? Buffer.alloc(0);
      return replaced(change.over ? word.length : 0, word);
    }
    case "splice": {
      const other = seeds[change.seed % seeds.length] ?? bytes;
      const from = change.from % Math.max(other.length, 1);
      return replaced(change.length, other.subarray(from, from + change.length));
    }
    case "field": {
      const [from = 0, to = 0] = [change.from, change.to].map((index) => fields[index % fields.length]);
      const result = Buffer.from(bytes);
      result.copyWithin(to, from, from + FIELD_SIZE);
      return result;
    }
    case "number":
      return withNumber(bytes, at, change);
  }
}

function withNumber(bytes: Buffer, at: number, change: Extract<Change, { kind: "number" }>): Buffer {
  const { width, big, value } = change;
  // Where fields of that size stand in most formats.
  const start = Math.floor(at / width) * width;
  if (start + width > bytes.length) return bytes;
  const result = Buffer.from(bytes);
  const field = result.subarray(start, start + width);
  if (!big) field.reverse();
  const old = BigInt(`0x${field.toString("hex")}`);
  const changed = BigInt.asUintN(8 * width, newNumber(old, BigInt(bytes.length), value));
  field.set(Buffer.from(changed.toString(16).padStart(2 * width, "0"), "hex"));
  if (!big) field.reverse();
  return result;
}

function newNumber(old: bigint, length: bigint, change: NumberChange): bigint {
  switch (change.kind) {
    case "add":
      return old + BigInt(change.delta);
    case "length":
      return length + BigInt(change.delta);
    case "limit":
      return 2n ** BigInt(change.bits) + BigInt(change.delta);
    case "any":
      return change.value;
  }
}
