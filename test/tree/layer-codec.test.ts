/** What a layer holds as bytes: the same comes back, and nothing that no layer holds is taken. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import { SealError } from "../../src/errors.ts";
import type { LayerEntry } from "../../src/tree/build.ts";
import { decodeLayer, encodeLayer, type LayerEntries } from "../../src/tree/layer-codec.ts";

const bytes = (constraints: fc.IntArrayConstraints) =>
  fc.uint8Array(constraints).map((array) => Uint8Array.from(array));
const digest = bytes({ minLength: 64, maxLength: 64 });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const xattrs = fc.uniqueArray(
  fc.record({ name: bytes({ minLength: 1, maxLength: 4 }), value: bytes({ maxLength: 9 }) }),
  {
    selector: ({ name }) => String(name),
    maxLength: 3,
  },
);
const item: fc.Arbitrary<LayerEntry["item"]> = fc.oneof(
  fc.constant({ kind: "directory" } as const),
  fc.constant({ kind: "fifo" } as const),
  fc.record({ kind: fc.constantFrom("char", "block"), rdev: u32 }),
  fc.record({ kind: fc.constant("hardlink"), target: bytes({ maxLength: 20 }) }),
  fc.record({
    kind: fc.constant("symlink"),
    target: bytes({ minLength: 1, maxLength: 20 }).map((target) => target.map((byte) => byte || 1)),
  }),
  bytes({ maxLength: 64 }).map(
    (content) => ({ kind: "regular", content: { kind: "inline", bytes: content } }) as const,
  ),
  fc
    .tuple(fc.bigInt({ min: 65n, max: 2n ** 53n - 1n }), digest)
    .map(
      ([size, own]) =>
        ({ kind: "regular", content: { kind: "external", size, digest: own, payload: "digest" } }) as const,
    ),
);
const entry: fc.Arbitrary<LayerEntry> = fc.record({
  path: bytes({ minLength: 1, maxLength: 30 }),
  metadata: fc.record({
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: u32,
    gid: u32,
    mtimeSec: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    mtimeNsec: fc.integer({ min: 0, max: 999_999_999 }),
    xattrs: xattrs.map((list) => list.sort((a, b) => Buffer.compare(a.name, b.name))),
  }),
  item,
  headersDiffer: fc.boolean(),
});
const layer: fc.Arbitrary<LayerEntries> = fc.record({
  entries: fc.array(entry, { maxLength: 6 }),
  compression: fc.constantFrom("gzip", "zstd", "none"),
  isOnePart: fc.boolean(),
});

function decode(encoded: Uint8Array): LayerEntries | null {
  try {
    return decodeLayer(encoded, "x");
  } catch (error) {
    if (error instanceof SealError && error.code === "input") return null;
    throw error;
  }
}

describe("what a layer holds as bytes", () => {
  it("comes back as it was", () => {
    fc.assert(
      fc.property(layer, (held) => {
        expect(decodeLayer(encodeLayer(held), "x")).toEqual(held);
      }),
    );
  });

  it("is refused where it is cut off or longer, in one line", () => {
    fc.assert(
      fc.property(layer, fc.nat(), (held, seed) => {
        const encoded = encodeLayer(held);
        expect(decode(encoded.subarray(0, seed % encoded.length))).toBeNull();
        expect(decode(Buffer.concat([encoded, Buffer.alloc(1 + (seed % 40))]))).toBeNull();
      }),
    );
  });

  it("is refused, or what a layer can hold, whatever byte of it was changed", () => {
    fc.assert(
      fc.property(layer, fc.nat(), fc.integer({ min: 1, max: 255 }), (held, seed, change) => {
        const encoded = encodeLayer(held);
        const place = seed % encoded.length;
        encoded[place] = (encoded[place] ?? 0) ^ change;
        const found = decode(encoded);
        // What was taken is written again in the same way: nothing in it was passed over.
        if (found !== null) expect(decode(encodeLayer(found))).toEqual(found);
      }),
    );
  });

  const plain: LayerEntry = {
    path: utf8("a"),
    metadata: { mode: 0o644, uid: 0, gid: 0, mtimeSec: 0n, mtimeNsec: 0, xattrs: [] },
    item: { kind: "regular", content: { kind: "external", size: 65n, digest: null, payload: null } },
    headersDiffer: false,
  };
  const of = (changes: Partial<LayerEntry>, metadata = {}): LayerEntries => ({
    entries: [{ ...plain, ...changes, metadata: { ...plain.metadata, ...metadata } }],
    compression: "gzip",
    isOnePart: true,
  });
  const name = (text: string) => ({ name: utf8(text), value: utf8("") });

  it.each<[string, LayerEntries]>([
    ["an empty path", of({ path: utf8("") })],
    ["a mode with the type of a file", of({}, { mode: 0o100644 })],
    ["a second of nanoseconds", of({}, { mtimeNsec: 1e9 })],
    ["xattrs out of order", of({}, { xattrs: [name("b"), name("a")] })],
    ["an xattr twice", of({}, { xattrs: [name("a"), name("a")] })],
    [
      "an inline content that is too long",
      of({ item: { kind: "regular", content: { kind: "inline", bytes: new Uint8Array(65) } } }),
    ],
    [
      "an external content that is too short",
      of({ item: { kind: "regular", content: { kind: "external", size: 64n, digest: null, payload: null } } }),
    ],
    [
      "a file of 2^53 bytes",
      of({ item: { kind: "regular", content: { kind: "external", size: 2n ** 53n, digest: null, payload: null } } }),
    ],
    ["a symlink to nowhere", of({ item: { kind: "symlink", target: utf8("") } })],
    ["a symlink with a NUL", of({ item: { kind: "symlink", target: utf8("a\0") } })],
  ])("takes no %s", (_, held) => {
    expect(decode(encodeLayer(held))).toBeNull();
  });

  it("shares metadata of entries that follow each other where all of it is the same", () => {
    const changes = [{ mode: 1 }, { uid: 1 }, { gid: 1 }, { mtimeSec: 1n << 40n }, { mtimeSec: -1n }, { mtimeNsec: 1 }];
    const differing = [...changes, { xattrs: [name("a")] }].map((change) => ({ ...plain.metadata, ...change }));
    const each = differing.flatMap((metadata) => [plain.metadata, { ...plain.metadata }, metadata]);
    const held = { ...of({}), entries: each.map((metadata): LayerEntry => ({ ...plain, metadata })) };
    const found = decodeLayer(encodeLayer(held), "x");
    expect(found).toEqual(held);
    const shared = found.entries.map(({ metadata }, index) => metadata === found.entries[index - 1]?.metadata);
    expect(shared).toEqual(differing.flatMap(() => [false, true, false]));
  });

  it("takes what is sound, without digests too, and has no place for a time beyond 64 bits", () => {
    expect(decode(encodeLayer(of({})))).toEqual(of({}));
    expect(() => encodeLayer(of({}, { mtimeSec: 2n ** 63n }))).toThrow(RangeError);
  });
});
