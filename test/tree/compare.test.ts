import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { displayBytes, utf8 } from "../../src/bytes.ts";
import { compareTrees, type Field } from "../../src/tree/compare.ts";
import type { Directory, Entry, Leaf, Metadata, Node, RegularFile } from "../../src/tree/node.ts";
import { sortEntries } from "../../src/tree/node.ts";

const EXACT = { nanoseconds: true };

const metadata = fc.record({
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: fc.nat(5),
  gid: fc.nat(5),
  mtimeSec: fc.bigInt({ min: -5n, max: 2n ** 62n }),
  mtimeNsec: fc.nat(999_999_999),
  xattrs: fc.constantFrom([], [{ name: utf8("user.a"), value: utf8("1") }]),
});
const content = fc.oneof(
  fc.uint8Array({ maxLength: 8 }).map((bytes) => ({ kind: "inline", bytes }) as const),
  fc
    .uint8Array({ minLength: 64, maxLength: 64 })
    .map((digest) => ({ kind: "external", size: 100n, digest, payload: "digest" }) as const),
);
const leaf = fc.oneof(
  fc.record({ metadata, content }).map((one): Leaf => ({ ...one.metadata, kind: "regular", content: one.content })),
  fc
    .record({ metadata, target: fc.uint8Array({ minLength: 1, maxLength: 5 }) })
    .map((one): Leaf => ({ ...one.metadata, kind: "symlink", target: one.target })),
  fc.record({ metadata, rdev: fc.nat(9) }).map((one): Leaf => ({ ...one.metadata, kind: "char", rdev: one.rdev })),
  metadata.map((own): Leaf => ({ ...own, kind: "fifo" })),
);

const { tree } = fc.letrec<{ tree: Directory; node: Node }>((tie) => ({
  node: fc.oneof({ depthSize: "small", withCrossShrink: true }, leaf, tie("tree")),
  tree: fc
    .record({ own: metadata, nodes: fc.array(tie("node"), { maxLength: 4 }) })
    .map(({ own, nodes }) => directory(own, nodes)),
}));

function directory(own: Metadata, nodes: readonly Node[]): Directory {
  const entries = nodes.map((node, index): Entry => ({ name: utf8(String.fromCharCode(97 + index)), node }));
  return { ...own, kind: "directory", entries: sortEntries(entries) };
}

function copy<T extends Node>(node: T): T {
  if (node.kind !== "directory") return { ...node };
  return { ...node, entries: node.entries.map((entry) => ({ ...entry, node: copy(entry.node) })) };
}

/** One changed field of a node, and what it is called. */
const CHANGES: readonly { field: Field; change: (node: Node) => Node | null }[] = [
  { field: "mode", change: (node) => ({ ...node, mode: node.mode ^ 0o1 }) },
  { field: "owner", change: (node) => ({ ...node, uid: node.uid + 1 }) },
  { field: "owner", change: (node) => ({ ...node, gid: node.gid + 1 }) },
  { field: "mtime", change: (node) => ({ ...node, mtimeSec: node.mtimeSec + 1n }) },
  { field: "mtime", change: (node) => ({ ...node, mtimeNsec: (node.mtimeNsec + 1) % 1_000_000_000 }) },
  { field: "xattr", change: (node) => ({ ...node, xattrs: [{ name: utf8("user.a"), value: utf8("2") }] }) },
  {
    field: "xattr",
    change: (node) => ({ ...node, xattrs: [...node.xattrs, { name: utf8("user.b"), value: utf8("") }] }),
  },
  { field: "target", change: (node) => (node.kind === "symlink" ? { ...node, target: utf8("elsewhere") } : null) },
  { field: "device", change: (node) => (node.kind === "char" ? { ...node, rdev: node.rdev + 1 } : null) },
  { field: "type", change: (node) => (node.kind === "char" ? { ...node, kind: "block" } : null) },
  {
    field: "content",
    change: (node) =>
      node.kind === "regular" ? { ...node, content: { kind: "inline", bytes: new Uint8Array(9) } } : null,
  },
];

const list = (a: Directory, b: Directory, options = EXACT) =>
  [...compareTrees(a, b, options)].map(({ path, field, a: left, b: right }) => [
    displayBytes(path),
    field,
    left,
    right,
  ]);

describe("compareTrees", () => {
  it("finds nothing between a tree and itself or a copy", () => {
    fc.assert(
      fc.property(tree, (root) => {
        expect(list(root, root)).toEqual([]);
        expect(list(root, copy(root))).toEqual([]);
      }),
    );
  });

  it("finds and names each single change, and only that", () => {
    fc.assert(
      fc.property(tree, fc.constantFrom(...CHANGES), fc.nat(3), (root, { field, change }, place) => {
        const entry = root.entries[place];
        const changed = entry === undefined ? null : change(entry.node);
        fc.pre(entry !== undefined && changed !== null);
        if (entry === undefined || changed === null) return;
        const other = {
          ...root,
          entries: root.entries.map((one) => (one === entry ? { ...one, node: changed } : one)),
        };
        const found = list(root, other);
        const expected = [displayBytes(entry.name), field];
        expect(found.map((one) => one.slice(0, 2))).toContainEqual(expected);
        expect(found.every(([path, name]) => path === expected[0] && (name === field || name === "size"))).toBe(true);
      }),
    );
  });

  const own: Metadata = { mode: 0o755, uid: 0, gid: 0, mtimeSec: 0n, mtimeNsec: 0, xattrs: [] };
  const file: RegularFile = { ...own, kind: "regular", content: { kind: "inline", bytes: utf8("x") } };

  it("names what is on one side only, and counts what lies below", () => {
    const full = directory(own, [directory(own, [file, { ...file }, directory(own, [])]), file]);
    const empty = directory(own, []);
    expect(list(empty, full)).toEqual([
      ["a", "added", null, "directory, 0755, 3 entries below it"],
      ["b", "added", null, "regular, 1 bytes, 0755"],
    ]);
    expect(list(full, empty).map((one) => one[1])).toEqual(["removed", "removed"]);
  });

  it("compares hardlinks as groups of names", () => {
    const copies = directory(own, [file, { ...file }, { ...file }]);
    const pair = directory(own, [file, file, { ...file }]);
    expect(list(pair, directory(own, [{ ...file }, file, file]))).toEqual([
      ["a", "links", "2 names, first a", null],
      ["b", "links", "2 names, first a", "2 names, first b"],
      ["c", "links", null, "2 names, first b"],
    ]);
    expect(list(copies, pair).map(([path, field]) => `${path} ${field}`)).toEqual(["a links", "b links"]);
    const second = { ...file };
    expect(list(pair, directory(own, [second, second, { ...file }]))).toEqual([]);
  });

  it("tells times to the nanosecond, or to the second", () => {
    const late = directory({ ...own, mtimeSec: 1_700_000_000n, mtimeNsec: 5 }, []);
    const early = directory({ ...own, mtimeSec: 1_700_000_000n }, []);
    expect([...compareTrees(late, early, EXACT)]).toMatchObject([
      { field: "mtime", a: "2023-11-14 22:13:20.000000005", b: "2023-11-14 22:13:20", subsecond: true },
    ]);
    expect(list(late, early, { nanoseconds: false })).toEqual([]);
    expect(list(early, directory({ ...own, mtimeSec: 2n ** 60n }, []))).toEqual([
      ["/", "mtime", "2023-11-14 22:13:20", "@1152921504606846976"],
    ]);
  });
});
