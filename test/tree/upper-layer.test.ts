import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { latin1, utf8 } from "../../src/bytes.ts";
import { concat } from "../../src/chunks.ts";
import { type LayerEntry, TreeBuilder } from "../../src/tree/build.ts";
import { writeDumpfile } from "../../src/tree/dumpfile-writer.ts";
import { type Directory, lookup, type Metadata } from "../../src/tree/node.ts";
import { type TreeChanges, upperLayer, withUpperLayer } from "../../src/tree/upper-layer.ts";

type TreeEntry = LayerEntry;

const NEW: Metadata = { mode: 0o755, uid: 0, gid: 0, mtimeSec: 9n, mtimeNsec: 0, xattrs: [] };
const metadata: fc.Arbitrary<Metadata> = fc.record({
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: fc.nat(),
  gid: fc.nat(),
  mtimeSec: fc.bigInt({ min: 0n, max: 1n << 40n }),
  mtimeNsec: fc.integer({ min: 0, max: 999_999_999 }),
  xattrs: fc.constantFrom([], [{ name: utf8("user.a"), value: Uint8Array.of(0, 255) }]),
});
const path = fc.array(fc.constantFrom("a", "b", "\xff", "a.b"), { minLength: 1, maxLength: 3 });

const inline = (text: string) => ({ kind: "inline", bytes: utf8(text) }) as const;
const bytesOf = (names: readonly string[]) => Buffer.from(names.join("/"), "latin1");
const known = (entries: ReturnType<typeof upperLayer>): TreeEntry[] =>
  entries.map(({ item, ...entry }) => ({
    ...entry,
    item:
      item.kind === "regular" ? { kind: "regular", content: { kind: "inline", bytes: concat(item.content) } } : item,
  }));

/** A tree of directories, each with a file. */
const base = fc.array(fc.tuple(path, metadata), { maxLength: 8 }).map((directories) => {
  const entries = new Map<string, TreeEntry>();
  for (const [names, own] of directories) {
    for (let depth = 1; depth <= names.length; depth++) {
      const place = names.slice(0, depth);
      const last = depth === names.length;
      if (last || !entries.has(place.join("/"))) {
        entries.set(place.join("/"), { path: bytesOf(place), metadata: last ? own : NEW, item: { kind: "directory" } });
      }
    }
    const file = [...names, "file"];
    entries.set(file.join("/"), {
      path: bytesOf(file),
      metadata: own,
      item: { kind: "regular", content: inline("old") },
    });
  }
  return [...entries.values()];
});

const changes = fc.tuple(fc.array(path, { maxLength: 4 }), fc.array(path, { maxLength: 4 })).map(
  ([remove, add]): TreeChanges => ({
    remove: remove.map((names) => bytesOf([...names, "file"])),
    add: add.map((names) => ({ path: bytesOf([...names, "new"]), content: [utf8("n"), utf8("ew")] })),
    file: { ...NEW, mode: 0o644 },
    directory: NEW,
  }),
);

const dump = (root: Directory) => Buffer.concat([...writeDumpfile(root)]).toString("latin1");

function pathsOf(root: Directory, above = ""): Map<string, Metadata> {
  const found = new Map<string, Metadata>();
  for (const { name, node } of root.entries) {
    const own = `${above}${latin1(name)}`;
    found.set(own, node);
    if (node.kind === "directory") for (const [below, child] of pathsOf(node, `${own}/`)) found.set(below, child);
  }
  return found;
}

describe("a layer on top", () => {
  it("changes nothing but what it is for, and means the same to who reads it", () => {
    fc.assert(
      fc.property(base, changes, (entries, wanted) => {
        const builder = new TreeBuilder("tree");
        for (const entry of entries) builder.add(entry);
        const before = builder.finish();
        // What is not there can't be taken out.
        const there = pathsOf(before);
        const layer = upperLayer(before, { ...wanted, remove: wanted.remove.filter((one) => there.has(latin1(one))) });
        for (const entry of known(layer)) builder.add(entry);
        const after = withUpperLayer(before, known(layer));
        expect(dump(after)).toBe(dump(builder.finish()));
        const found = pathsOf(after);
        for (const one of wanted.remove) expect(found.has(latin1(one))).toBe(false);
        for (const { path: one } of wanted.add)
          expect(found.get(latin1(one))).toMatchObject({ mode: 0o644, mtimeSec: 9n });
        for (const [place, { mode, uid, gid, mtimeSec, mtimeNsec, xattrs }] of there) {
          if (wanted.remove.some((one) => latin1(one) === place)) continue;
          expect(found.get(place)).toMatchObject({ mode, uid, gid, mtimeSec, mtimeNsec, xattrs });
        }
      }),
    );
  });

  it("lists parents first, whiteouts before the rest, and names in order", () => {
    const directory = (name: string): TreeEntry => ({ path: utf8(name), metadata: NEW, item: { kind: "directory" } });
    const builder = new TreeBuilder("tree");
    for (const entry of ["usr", "usr/lib", "boot"].map(directory)) builder.add(entry);
    const layer = upperLayer(builder.finish(), {
      remove: ["usr/lib/b", "usr/lib/a"].map(utf8),
      add: ["usr/lib/c", "boot/x/y", "usr/lib-x"].map((one) => ({ path: utf8(one), content: [] })),
      file: NEW,
      directory: NEW,
    });
    expect(layer.map(({ path: one, item }) => `${latin1(one)} ${item.kind}`)).toEqual([
      "boot directory",
      "boot/x directory",
      "boot/x/y regular",
      "usr directory",
      "usr/lib directory",
      "usr/lib/.wh.a regular",
      "usr/lib/.wh.b regular",
      "usr/lib/c regular",
      "usr/lib-x regular",
    ]);
  });

  it("takes one name of a hardlink out and leaves the others", () => {
    const builder = new TreeBuilder("tree");
    builder.add({
      path: utf8("a"),
      metadata: NEW,
      item: { kind: "regular", content: { kind: "inline", bytes: utf8("x") } },
    });
    builder.add({ path: utf8("b"), metadata: NEW, item: { kind: "hardlink", target: utf8("a") } });
    const root = builder.finish();
    const names = (tree: Directory) => tree.entries.map(({ name }) => latin1(name));
    for (const [removed, left] of [
      ["a", "b"],
      ["b", "a"],
    ] as const) {
      const layer = upperLayer(root, { remove: [utf8(removed)], add: [], file: NEW, directory: NEW });
      expect(names(withUpperLayer(root, known(layer)))).toEqual([left]);
    }
    const layer = upperLayer(root, { remove: [], add: [{ path: utf8("a"), content: [] }], file: NEW, directory: NEW });
    const changed = withUpperLayer(root, known(layer));
    expect(names(changed)).toEqual(["a", "b"]);
    expect(lookup(changed, utf8("b"))).toBe(lookup(root, utf8("b")));
  });

  it("is empty when there is nothing to do", () => {
    const root = new TreeBuilder("tree").finish();
    expect(upperLayer(root, { remove: [], add: [], file: NEW, directory: NEW })).toEqual([]);
    expect(withUpperLayer(root, [])).toBe(root);
    expect(lookup(root, utf8("x"))).toBeUndefined();
  });
});
