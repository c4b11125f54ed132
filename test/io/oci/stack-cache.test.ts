import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../../src/bytes.ts";
import type { CacheKey } from "../../../src/io/oci/cache-entry.ts";
import { type LayerStack, NO_LAYERS } from "../../../src/io/oci/layer-stack.ts";
import { decodeStack, encodeStack, stackKeys, TREE_VERSION } from "../../../src/io/oci/stack-cache.ts";
import { type LayerEntry, TreeBuilder } from "../../../src/tree/build.ts";
import { encodeTree } from "../../../src/tree/tree-codec.ts";
import { memoryRootfs } from "../../support/tree.ts";

const { root } = memoryRootfs({ "usr/f": "small", etc: null });
const STACK: LayerStack = {
  ...NO_LAYERS,
  root,
  forms: [
    { compression: "none", isOnePart: true },
    { compression: "gzip", isOnePart: false },
    { compression: "zstd", isOnePart: true },
  ],
  headersDiffer: true,
  files: 3,
  directories: 4,
};

describe("what layers make together", () => {
  it("is what was written", () => {
    const { placeOf: _, ...rest } = decodeStack(encodeStack(STACK), "x");
    const { placeOf: __, ...expected } = STACK;
    expect(encodeStack({ ...STACK, ...rest })).toEqual(encodeStack(STACK));
    expect({ ...rest, root: null }).toEqual({ ...expected, root: null });
    expect(() => encodeStack(NO_LAYERS)).toThrow(RangeError);
  });

  it("is refused where it is cut off or says of a layer what can't be", () => {
    const bytes = encodeStack(STACK);
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeStack(bytes.subarray(0, length), "x")).toThrow(/^x: /);
    }
    expect(() => decodeStack(bytes.with(16, 3), "x")).toThrow("x: is damaged: the form of a layer can't be");
    expect(() => decodeStack(bytes.with(12, 200), "x")).toThrow(/^x: /);
  });

  it("is of these layers, in this order, read this way", () => {
    const hex = (digit: string) => ({ algorithm: "sha256", hex: digit.repeat(64) }) as const;
    const layer = (digit: string, key: Partial<CacheKey> = {}, diffId = digit) => ({
      key: { digest: hex(digit), mediaType: "layer", algorithm: "sha512", paxOwners: "count", ...key } as const,
      diffId: hex(diffId),
    });
    const lists = [
      [layer("a"), layer("b")],
      [layer("b"), layer("a")],
      [layer("a", { paxOwners: "ignored" }), layer("b")],
      [layer("a", { algorithm: "sha256" }), layer("b")],
      [layer("a", { mediaType: null }), layer("b")],
      [layer("a", {}, "c"), layer("b")],
      [layer("a"), layer("b"), layer("b")],
    ];
    const keys = lists.map((layers) => stackKeys(layers).map((key) => Buffer.from(key).toString("hex")));
    expect(new Set(keys.map((all) => all.at(-1))).size).toBe(lists.length);
    // That of the lowest ones is among those of more.
    expect(keys.at(-1)?.slice(0, 2)).toEqual(keys[0]);
    expect(stackKeys([])).toEqual([]);
  });

  it("is the tree of version 1", () => {
    const file = (text: string) => ({ kind: "regular", content: { kind: "inline", bytes: utf8(text) } }) as const;
    const directory = { kind: "directory" } as const;
    const link = (target: string) => ({ kind: "hardlink", target: utf8(target) }) as const;
    const items: readonly (readonly [string, number, LayerEntry["item"]])[] = [
      ["./", 0o755, directory],
      ["usr", 0o755, directory],
      ["usr/a", 0o755, directory],
      ["usr/a/f", 0o644, file("1")],
      ["usr/a/link", 0o600, link("usr/a/f")],
      ["usr/b/", 0o755, directory],
      ["usr/b/f", 0o644, file("2")],
      ["usr/c", 0o777, { kind: "symlink", target: utf8("a") }],
      ["/usr/a", 0o700, directory],
      ["usr/a/.wh.f", 0, file("")],
      ["usr/b/.wh..wh..opq", 0, file("")],
      ["usr/b/./g", 0o644, file("3")],
      ["usr/c", 0o755, directory],
      ["usr/c/other", 0o755, link("usr/a/link")],
    ];
    const builder = new TreeBuilder("x");
    for (const [path, mode, item] of items) {
      const metadata = { mode, uid: 1, gid: 2, mtimeSec: 3n, mtimeNsec: 4, xattrs: [] };
      builder.add({ path: utf8(path), metadata, item });
    }
    const tree = encodeTree({ root: builder.finish(), placeOf: () => undefined });
    const made = createHash("sha256").update(tree).digest("hex");
    // Has this changed? Then files that older versions wrote say something else than this one would: raise TREE_VERSION.
    expect({ TREE_VERSION, made }).toEqual({
      TREE_VERSION: 1,
      made: "5b73a974ff3699694301310a02e31c7f177e8c016c8f8d98e98cfc70d42698bb",
    });
  });
});
