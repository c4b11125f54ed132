import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import { SealError } from "../../src/errors.ts";
import { TreeBuilder } from "../../src/tree/build.ts";
import { writeDumpfile } from "../../src/tree/dumpfile-writer.ts";
import type { Directory, Entry, Metadata, RegularFile } from "../../src/tree/node.ts";
import { withEntries } from "../../src/tree/rebuild.ts";
import { decodeTree, encodeTree, type LayeredTree } from "../../src/tree/tree-codec.ts";

const METADATA: Metadata = { mode: 0o755, uid: 1, gid: 70_000, mtimeSec: -5n, mtimeNsec: 999_999_999, xattrs: [] };
const XATTRS = [
  { name: utf8("security.capability"), value: Uint8Array.of(0, 255) },
  { name: utf8("user.x"), value: utf8("") },
];
const dump = (root: Directory) => Buffer.concat([...writeDumpfile(root)]).toString("latin1");

function external(fill: number, length = 64): RegularFile {
  const content = {
    kind: "external",
    size: 100n,
    digest: new Uint8Array(length).fill(fill),
    payload: "digest",
  } as const;
  return { ...METADATA, kind: "regular", content };
}

/** The place of an external file is what its digest is filled with. */
const placeOf: LayeredTree["placeOf"] = (content) =>
  content.kind === "inline" ? undefined : { layer: content.digest?.[0] ?? 0, entry: (content.digest?.[0] ?? 0) * 3 };

const entry = (name: string, node: Entry["node"]): Entry => ({ name: Buffer.from(name, "latin1"), node });
const directory = (...entries: Entry[]) => withEntries(METADATA, entries);

/** Something of each kind. */
function everything(): Directory {
  const [file, other] = [external(7), { ...external(8), xattrs: XATTRS }];
  return directory(
    entry("char", { ...METADATA, kind: "char", rdev: 0x103 }),
    entry(
      "dir",
      directory(
        entry("b", file),
        entry("deep", directory(entry("block", { ...METADATA, kind: "block", rdev: 2 ** 32 - 1 }))),
      ),
    ),
    entry("empty", { ...METADATA, kind: "regular", content: { kind: "inline", bytes: new Uint8Array() } }),
    entry("fifo", { ...METADATA, kind: "fifo", mode: 0o7777 }),
    entry("file", other),
    entry("inline", { ...METADATA, kind: "regular", content: { kind: "inline", bytes: utf8("x".repeat(64)) } }),
    entry("link", file),
    entry("symlink", { ...METADATA, kind: "symlink", target: utf8("../x") }),
    entry("\xff", other),
  );
}

describe("a tree of layers as bytes", () => {
  it("has all of it: kinds, metadata, hardlinks, and where contents are", () => {
    const root = everything();
    const tree = decodeTree(encodeTree({ root, placeOf }), "x");
    expect(dump(tree.root)).toBe(dump(root));
    const files = new Map<string, RegularFile>();
    for (const { name, node } of tree.root.entries)
      if (node.kind === "regular") files.set(Buffer.from(name).toString("latin1"), node);
    const [link, file, inline] = ["link", "file", "inline"].map((name) => files.get(name)?.content);
    if (link === undefined || file === undefined || inline === undefined) throw new Error("a file is missing");
    expect([link, file, inline].map(tree.placeOf)).toEqual([
      { layer: 7, entry: 21 },
      { layer: 8, entry: 24 },
      undefined,
    ]);
    expect(tree.placeOf(external(7).content)).toBeUndefined();
    // It is written again as it is.
    expect(encodeTree(tree)).toEqual(encodeTree({ root, placeOf }));
  });

  it("can be built upon", () => {
    const { root } = decodeTree(encodeTree({ root: everything(), placeOf }), "x");
    const builder = new TreeBuilder("x", null, root);
    const plain = new TreeBuilder("x", null, everything());
    for (const one of [builder, plain]) {
      one.add({ path: utf8("dir/deep/new"), metadata: METADATA, item: { kind: "hardlink", target: utf8("link") } });
      one.add({ path: utf8("dir/.wh.b"), metadata: METADATA, item: { kind: "fifo" } });
    }
    expect(dump(builder.finish())).toBe(dump(plain.finish()));
  });

  it("goes to any depth, and has any number of entries", () => {
    let root = directory();
    for (let depth = 0; depth < 20_000; depth++) root = directory(entry("d", root));
    const bytes = encodeTree({ root, placeOf });
    expect(encodeTree(decodeTree(bytes, "x"))).toEqual(bytes);
    const names = fc.uniqueArray(fc.uint8Array({ minLength: 1, maxLength: 255 }), { selector: (name) => name.join() });
    fc.assert(
      fc.property(names, (all) => {
        const allowed = all.filter(
          (name) => !name.includes(0) && !name.includes(0x2f) && !/^46(,46)?$/.test(name.join()),
        );
        const sorted = allowed.toSorted((a, b) => Buffer.compare(a, b));
        const wide = directory(...sorted.map((name, index) => ({ name, node: external(index % 256, 32) })));
        expect(dump(decodeTree(encodeTree({ root: wide, placeOf }), "x").root)).toBe(dump(wide));
      }),
    );
  });

  it("is not made of what it could not say", () => {
    const refuse = (node: Entry["node"], places = placeOf) =>
      expect(() => encodeTree({ root: directory(entry("a", node), entry("b", external(1))), placeOf: places })).toThrow(
        RangeError,
      );
    refuse(external(1, 32));
    refuse({ ...external(1), content: { kind: "external", size: 100n, digest: null, payload: null } });
    refuse({ ...METADATA, kind: "socket" });
    refuse({ ...METADATA, kind: "fifo", mtimeSec: 2n ** 63n });
    refuse({ ...METADATA, kind: "fifo" }, () => undefined);
  });

  it("is refused where it is damaged, with one line", () => {
    const bytes = encodeTree({ root: everything(), placeOf });
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeTree(bytes.subarray(0, length), "x")).toThrow(SealError);
    }
    expect(() => decodeTree(Buffer.concat([bytes, Buffer.of(0)]), "x")).toThrow("x: is damaged: its records");
    for (let at = 0; at < bytes.length; at++) {
      for (const byte of [0, 1, 0x2f, 0x7f, 0xff]) {
        try {
          const { root } = decodeTree(bytes.with(at, byte), "x");
          // What is accepted can be written.
          dump(root);
        } catch (error) {
          expect(error).toBeInstanceOf(SealError);
        }
      }
    }
  });

  it.each([
    ["names out of order", [entry("b", external(1)), entry("a", external(2))]],
    ["a name twice", [entry("a", external(1)), entry("a", external(2))]],
    ["no name", [entry("", external(1))]],
    ["the name of the directory itself", [entry(".", external(1))]],
    ["the name of that above", [entry("..", external(1))]],
    ["a name with a slash", [entry("a/b", external(1))]],
    ["a name with a NUL", [entry("a\0", external(1))]],
    ["a symlink to nothing", [entry("a", { ...METADATA, kind: "symlink", target: new Uint8Array() } as const)]],
    ["a mode that is none", [entry("a", { ...METADATA, kind: "fifo", mode: 0o10000 } as const)]],
    [
      "a large file of few bytes",
      [entry("a", { ...external(1), content: { ...external(1).content, size: 64n } } as RegularFile)],
    ],
  ])("is refused with %s", (_, entries) => {
    expect(() => decodeTree(encodeTree({ root: directory(...entries), placeOf }), "x")).toThrow(/^x: is damaged: /);
  });
});
