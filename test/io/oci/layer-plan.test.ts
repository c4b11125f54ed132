import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { latin1, toHex, utf8 } from "../../../src/bytes.ts";
import { concat } from "../../../src/chunks.ts";
import { erofsDigest } from "../../../src/composefs/digest.ts";
import { verityDigest } from "../../../src/composefs/verity.ts";
import { layerArchive, type ReadContent } from "../../../src/io/oci/layer-archive.ts";
import { type PlannedLayer, planLayers } from "../../../src/io/oci/layer-plan.ts";
import { canonicalTree } from "../../../src/tree/canonical.ts";
import { compareTrees } from "../../../src/tree/compare.ts";
import { type Directory, type Leaf, type RegularFile, sortEntries, type Xattr } from "../../../src/tree/node.ts";
import { rebuild, withEntries } from "../../../src/tree/rebuild.ts";
import { arbitraryTree } from "../../support/arbitrary-tree.ts";
import { archiveRootfs } from "../../support/archive.ts";
import { type MemoryFiles, memoryRootfs } from "../../support/tree.ts";

const IMAGE = { erofs: "v1", algorithm: "sha512" } as const;
const names = (layer: PlannedLayer) => layer.map(({ entry }) => latin1(entry.path));
const filesOf = (layer: PlannedLayer) => names(layer.filter(({ entry }) => entry.item.kind !== "directory"));

function plan(files: MemoryFiles, limit: number): readonly PlannedLayer[] {
  return planLayers(memoryRootfs(files).root, limit);
}

/** `count` files of `size` bytes below a directory. */
function many(directory: string, count: number, size: number): MemoryFiles {
  const bytes = new Uint8Array(size);
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`${directory}/${index}`, bytes]));
}

describe("planLayers", () => {
  it("makes one layer of what fits into one, directories before what is in them", () => {
    expect(plan({ "usr/bin/sh": "#", "usr/empty": null, boot: null }, 1 << 20).map(names)).toEqual([
      ["", "boot", "usr", "usr/bin", "usr/bin/sh", "usr/empty"],
    ]);
    expect(plan({}, 1).map(names)).toEqual([[""]]);
  });

  it("keeps layers below the limit, with all directories on the way and each file once", () => {
    const files = {
      ...many("usr/lib", 300, 1000),
      ...many("usr/share/doc", 20, 1000),
      "usr/big": new Uint8Array(90_000),
    };
    const layers = plan(files, 40_000);
    expect(layers.length).toBeGreaterThan(8);
    expect(layers.flatMap(filesOf).sort()).toEqual(Object.keys(files).sort());
    for (const layer of layers) {
      const content = layer.reduce(
        (sum, { entry: { item } }) => sum + (item.kind === "regular" ? Number(item.content) : 0),
        0,
      );
      expect(content <= 40_000 || filesOf(layer).join() === "usr/big").toBe(true);
      const listed = new Set<string>();
      for (const path of names(layer)) {
        if (path !== "") expect(listed).toContain(path.replace(/\/?[^/]*$/, ""));
        listed.add(path);
      }
    }
    expect(names(layers.at(-1) ?? [])).toEqual(["", "usr", "usr/lib"]);
    // A directory that fits is not torn apart.
    expect(layers.map(filesOf).filter((layer) => layer.some((path) => path.startsWith("usr/share")))).toHaveLength(1);
  });

  it("changes the layers of what changed and no others", () => {
    const files = {
      ...many("usr/lib", 500, 1000),
      ...many("usr/share/a", 100, 1000),
      ...many("usr/share/b", 100, 1000),
    };
    const { "usr/lib/17": _, ...rest } = files;
    const changed = { ...rest, "usr/lib/new": new Uint8Array(1000), "usr/share/a/new": "x" };
    const later = { mode: 0o755, uid: 0, gid: 0, mtimeSec: 5n, mtimeNsec: 0, xattrs: [], content: null };
    const archives = (given: MemoryFiles) =>
      plan(given, 60_000).map((layer) => toHex(concat([...layerArchive(layer, () => [], "layer")])));
    const before = archives(files);
    const after = archives({ "usr/lib": later, "usr/share/a": later, ...changed });
    expect(before.length).toBeGreaterThan(10);
    // Where the two new files are, where the old one was, and the times of the directories.
    expect(after.filter((archive) => !before.includes(archive)).length).toBeLessThanOrEqual(4);
  });

  it("puts all names of an inode into one layer, the first as the file", () => {
    const { root } = memoryRootfs({ ...many("a", 3, 5000), ...many("b", 3, 5000) });
    const [a, b] = root.entries.map(({ node }) => node as Directory);
    const [shared] = a?.entries ?? [];
    if (a === undefined || b === undefined || shared === undefined) throw new Error("no such tree");
    const linked = withEntries(b, sortEntries([...b.entries, { name: utf8("link"), node: shared.node }]));
    const layers = planLayers(
      withEntries(root, [
        { name: utf8("a"), node: a },
        { name: utf8("b"), node: linked },
      ]),
      16_000,
    );
    const [layer, second] = layers.filter((one) => names(one).includes("b/link"));
    expect(names(layers.at(-1) ?? [])).toEqual(["", "a", "b"]);
    expect(second).toBeUndefined();
    expect(names(layer ?? [])).toEqual(["", "a", "a/0", "a/1", "b", "b/link"]);
    expect(layer?.at(-1)?.entry.item).toEqual({ kind: "hardlink", target: utf8("a/0") });
  });

  it("makes larger layers where there would be too many for container storage", () => {
    expect(plan(many("usr", 400, 1000), 1).length).toBeLessThanOrEqual(100);
  });
});

/** The tree with `/usr` and `/boot`, what no layer holds left out, and contents of the sizes that tests can have. */
function usable(tree: Directory): { readonly root: Directory; readonly contents: ReadonlyMap<Leaf, Uint8Array> } {
  const contents = new Map<Leaf, Uint8Array>();
  const done = new Map<Leaf, Leaf>();
  const enter = (node: Directory) => ({ metadata: { ...node, xattrs: node.xattrs.filter(isWritable) }, context: null });
  const leaf = (node: Leaf, name: Uint8Array) => {
    if ((node.kind === "char" && node.rdev === 0) || latin1(name).startsWith(".wh.")) return null;
    const known = done.get(node);
    if (known !== undefined) return known;
    const metadata = { ...node, xattrs: node.xattrs.filter(isWritable) };
    if (node.kind !== "regular" || node.content.kind === "inline") {
      done.set(node, metadata);
      return metadata;
    }
    const bytes = new Uint8Array(Number(node.content.size % 2000n) + 65).fill(node.content.digest?.[0] ?? 0);
    const digest = verityDigest(bytes, "sha512");
    const content = { kind: "external", size: BigInt(bytes.length), digest, payload: "digest" } as const;
    const file: RegularFile = { ...node, xattrs: metadata.xattrs, content };
    contents.set(file, bytes);
    done.set(node, file);
    return file;
  };
  const { entries, ...metadata } = rebuild(tree, { enter, leaf }, null);
  const own = memoryRootfs({ usr: null, boot: null, run: null }).root.entries;
  const usr = withEntries({ ...metadata, mtimeSec: 5n }, entries);
  const roots = own.map((entry) => (latin1(entry.name) === "usr" ? { ...entry, node: usr } : entry));
  return { root: withEntries(metadata, roots), contents };
}

const isWritable = ({ name }: Xattr) => !name.includes(0x3d);

describe("a canonical tree", () => {
  it("is the tree that its layers make, whatever it holds and however it is divided", async () => {
    const limits = fc.constantFrom(1, 600, 3000, 1e9);
    await fc.assert(
      fc.asyncProperty(arbitraryTree({ portable: true }), limits, async (tree, limit) => {
        const { root: given, contents } = usable(tree);
        const { root } = canonicalTree(given, "keep-user", "tree");
        const byDigest = new Map([...contents.values()].map((bytes) => [toHex(verityDigest(bytes, "sha512")), bytes]));
        const read: ReadContent = (_, { content }) => {
          const digest = content.kind === "external" ? toHex(content.digest ?? new Uint8Array()) : "";
          return [byDigest.get(digest) ?? new Uint8Array()];
        };
        const archives = planLayers(root, limit).map((layer) => concat([...layerArchive(layer, read, "layer")]));
        const rebuilt = await archiveRootfs(archives, "sha512");
        expect([...compareTrees(root, rebuilt.root, { nanoseconds: true })]).toEqual([]);
        expect(erofsDigest(rebuilt.root, IMAGE).digest).toBe(erofsDigest(root, IMAGE).digest);
      }),
      { numRuns: 100 },
    );
  });
});
