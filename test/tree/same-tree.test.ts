import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import { erofsDigest } from "../../src/composefs/digest.ts";
import { compareTrees } from "../../src/tree/compare.ts";
import {
  type Directory,
  type Entry,
  type ExternalContent,
  type Leaf,
  type Metadata,
  type Node,
  sortEntries,
  type Xattr,
} from "../../src/tree/node.ts";
import { sameTree } from "../../src/tree/same-tree.ts";
import { arbitraryTree } from "../support/arbitrary-tree.ts";

/** A copy that shares nothing with the tree, and has the same hardlinks. */
function copyOf(root: Directory): Directory {
  const leaves = new Map<Leaf, Leaf>();
  const bytes = (given: Uint8Array) => Uint8Array.from(given);
  const own = (node: Metadata) => ({
    xattrs: node.xattrs.map(({ name, value }): Xattr => ({ name: bytes(name), value: bytes(value) })),
  });
  const leaf = (node: Leaf): Leaf => {
    if (node.kind === "symlink") return { ...node, ...own(node), target: bytes(node.target) };
    if (node.kind !== "regular") return { ...node, ...own(node) };
    const { content } = node;
    if (content.kind === "inline")
      return { ...node, ...own(node), content: { ...content, bytes: bytes(content.bytes) } };
    const { digest } = content;
    return { ...node, ...own(node), content: { ...content, digest: digest === null ? null : bytes(digest) } };
  };
  const directory = (node: Directory): Directory => ({
    ...node,
    ...own(node),
    entries: node.entries.map((entry): Entry => {
      const name = bytes(entry.name);
      if (entry.node.kind === "directory") return { name, node: directory(entry.node) };
      const copied = leaves.get(entry.node) ?? leaf(entry.node);
      leaves.set(entry.node, copied);
      return { name, node: copied };
    }),
  });
  return directory(root);
}

/** All entries of a tree, each with the directory that it is in. */
function* placesIn(root: Directory): Generator<{ parent: Directory; entry: Entry }> {
  for (const entry of root.entries) {
    yield { parent: root, entry };
    if (entry.node.kind === "directory") yield* placesIn(entry.node);
  }
}

/** The tree with something else for one entry of a directory; nothing: without it. */
function replaced(root: Directory, parent: Directory, old: Entry, entries: readonly Entry[]): Directory {
  if (root === parent) {
    return { ...root, entries: sortEntries(root.entries.flatMap((entry) => (entry === old ? entries : [entry]))) };
  }
  const below = root.entries.map((entry) =>
    entry.node.kind === "directory" ? { ...entry, node: replaced(entry.node, parent, old, entries) } : entry,
  );
  return { ...root, entries: below };
}

/** The tree with another inode in all places of one. */
function withNode(root: Directory, old: Node, node: Node): Directory {
  if (root === old) return node as Directory;
  const entries = root.entries.map((entry) => {
    if (entry.node === old) return { ...entry, node };
    return entry.node.kind === "directory" ? { ...entry, node: withNode(entry.node, old, node) } : entry;
  });
  return { ...root, entries };
}

const more = (bytes: Uint8Array) => Uint8Array.of(...bytes, 1);
const flipped = (bytes: Uint8Array) => bytes.map((byte, index) => (index === bytes.length - 1 ? byte ^ 1 : byte));

/** One change of what an inode is; null: it has nothing of the kind. */
const INODE_CHANGES: Readonly<Record<string, (node: Node) => Node | null>> = {
  mode: (node) => ({ ...node, mode: node.mode ^ 0o4000 }),
  uid: (node) => ({ ...node, uid: node.uid ^ 1 }),
  gid: (node) => ({ ...node, gid: node.gid ^ 0x10000 }),
  seconds: (node) => ({ ...node, mtimeSec: node.mtimeSec + 1n }),
  nanoseconds: (node) => ({ ...node, mtimeNsec: (node.mtimeNsec + 1) % 1_000_000_000 }),
  "an xattr more": (node) => ({ ...node, xattrs: [...node.xattrs, { name: utf8("zzz"), value: utf8("1") }] }),
  "an xattr less": (node) => (node.xattrs.length === 0 ? null : { ...node, xattrs: node.xattrs.slice(1) }),
  "the value of an xattr": (node) => {
    const [first, ...rest] = node.xattrs;
    return first === undefined ? null : { ...node, xattrs: [{ ...first, value: more(first.value) }, ...rest] };
  },
  "the name of an xattr": (node) => {
    const last = node.xattrs.at(-1);
    return last === undefined
      ? null
      : { ...node, xattrs: [...node.xattrs.slice(0, -1), { ...last, name: utf8("zzz") }] };
  },
  kind: (node) => {
    if (node.kind === "char") return { ...node, kind: "block" };
    return node.kind === "fifo" ? { ...node, kind: "socket" } : null;
  },
  "kind of all": (node) => {
    const { mode, uid, gid, mtimeSec, mtimeNsec, xattrs } = node;
    return node.kind === "fifo" ? null : { kind: "fifo", mode, uid, gid, mtimeSec, mtimeNsec, xattrs };
  },
  "a device number": (node) =>
    node.kind === "char" || node.kind === "block" ? { ...node, rdev: node.rdev ^ 2 } : null,
  "a target": (node) => (node.kind === "symlink" ? { ...node, target: flipped(node.target) } : null),
  "a longer target": (node) => (node.kind === "symlink" ? { ...node, target: more(node.target) } : null),
  "small content": (node) =>
    node.kind === "regular" && node.content.kind === "inline"
      ? { ...node, content: { ...node.content, bytes: more(node.content.bytes) } }
      : null,
  ...Object.fromEntries(
    (
      [
        ["size", ({ size }) => ({ size: size + 1n })],
        ["digest", ({ digest }) => ({ digest: digest === null ? null : flipped(digest) })],
        ["no digest", () => ({ digest: null })],
        ["no place", () => ({ payload: null })],
        ["another place", () => ({ payload: utf8("elsewhere") })],
      ] satisfies [string, (content: ExternalContent) => Partial<ExternalContent>][]
    ).map(([name, change]) => [
      `large content: ${name}`,
      (node: Node) =>
        node.kind === "regular" && node.content.kind === "external"
          ? { ...node, content: { ...node.content, ...change(node.content) } }
          : null,
    ]),
  ),
};

/** One change of what a directory has. */
const ENTRY_CHANGES: Readonly<Record<string, (entry: Entry, beside: Directory, root: Directory) => Entry[] | null>> = {
  "a name": (entry) => (entry.name.length < 200 ? [{ ...entry, name: more(entry.name) }] : null),
  "an entry less": () => [],
  "an entry more": (entry) =>
    entry.name.length < 200 ? [entry, { name: more(entry.name), node: { ...root([]), mode: 0o1 } }] : null,
  "another name of an inode": (entry) =>
    entry.node.kind === "directory" || entry.name.length >= 200
      ? null
      : [entry, { name: more(entry.name), node: entry.node }],
  "an inode of its own, if it had several names": (entry, _, all) =>
    entry.node.kind !== "directory" &&
    [...placesIn(all)].filter(({ entry: { node } }) => node === entry.node).length > 1
      ? [{ ...entry, node: { ...entry.node } }]
      : null,
};

const METADATA: Metadata = { mode: 0o755, uid: 0, gid: 0, mtimeSec: 0n, mtimeNsec: 0, xattrs: [] };
function root(nodes: readonly Node[]): Directory {
  const entries = nodes.map((node, index): Entry => ({ name: utf8(String.fromCharCode(97 + index)), node }));
  return { kind: "directory", ...METADATA, entries };
}

/** Null where an image of the format can't hold it. */
function digestsOf(tree: Directory): (string | null)[] {
  return (["v0", "v1", "v2"] as const).map((erofs) => {
    try {
      return erofsDigest(tree, { erofs, algorithm: "sha512" }).digest;
    } catch {
      return null;
    }
  });
}

/** In both directions, and as what names all differences sees it. */
function isSame(a: Directory, b: Directory): boolean {
  const same = sameTree(a, b);
  expect(sameTree(b, a)).toBe(same);
  expect([...compareTrees(a, b, { nanoseconds: true })].length === 0).toBe(same);
  return same;
}

describe("sameTree", () => {
  it("knows a tree and its copy as the same, and both have the same digests", () => {
    fc.assert(
      fc.property(arbitraryTree(), (tree) => {
        const copy = copyOf(tree);
        expect(isSame(tree, copy)).toBe(true);
        expect(isSame(tree, tree)).toBe(true);
        expect(digestsOf(copy)).toEqual(digestsOf(tree));
      }),
    );
  });

  it.each(Object.entries(INODE_CHANGES))("finds one inode that differs: %s", (_, change) => {
    fc.assert(
      fc.property(arbitraryTree({ maxNodes: 20 }), fc.nat(), fc.boolean(), (tree, place, isShared) => {
        const nodes = [tree, ...[...placesIn(tree)].map(({ entry }) => entry.node)];
        const able = nodes.filter((node) =>
          node === tree ? change(node)?.kind === "directory" : change(node) !== null,
        );
        const node = able[place % able.length];
        fc.pre(node !== undefined);
        if (node === undefined) return;
        const other = withNode(tree, node, change(node) as Node);
        expect(isSame(isShared ? tree : copyOf(tree), other)).toBe(false);
      }),
    );
  });

  it.each(Object.entries(ENTRY_CHANGES))("finds one entry that differs: %s", (_, change) => {
    fc.assert(
      fc.property(arbitraryTree({ maxNodes: 20 }), fc.nat(), fc.boolean(), (tree, place, isShared) => {
        const able = [...placesIn(tree)].flatMap(({ parent, entry }) => {
          const entries = change(entry, parent, tree);
          return entries === null ? [] : [{ parent, entry, entries }];
        });
        const one = able[place % able.length];
        fc.pre(one !== undefined);
        if (one === undefined) return;
        const other = replaced(tree, one.parent, one.entry, one.entries);
        expect(isSame(isShared ? tree : copyOf(tree), other)).toBe(false);
      }),
    );
  });

  it("tells which names are of one inode, whatever the trees share", () => {
    const file: Leaf = { kind: "fifo", ...METADATA };
    const other = { ...file };
    const third = { ...file };
    expect(isSame(root([file, file, other]), root([other, other, file]))).toBe(true);
    expect(isSame(root([file, file, other]), root([file, other, other]))).toBe(false);
    expect(isSame(root([file, file, other]), root([other, other, other]))).toBe(false);
    expect(isSame(root([file, other, third]), root([third, file, other]))).toBe(true);
    const below = root([file, other]);
    expect(isSame(root([below, file]), root([below, other]))).toBe(false);
    expect(isSame(root([below, file]), root([below, third]))).toBe(false);
    expect(isSame(root([below, third]), root([below, { ...file }]))).toBe(true);
  });

  it("takes no directory for the same that has two names", () => {
    const below = root([]);
    expect(sameTree(root([below, below]), root([below, { ...below }]))).toBe(false);
    expect(sameTree(root([below, { ...below }]), root([below, below]))).toBe(false);
  });

  it("goes to any depth", () => {
    const deep = () => Array.from({ length: 100_000 }).reduce<Directory>((tree) => root([tree]), root([]));
    expect(sameTree(deep(), deep())).toBe(true);
  });
});
