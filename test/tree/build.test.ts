import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { displayBytes, utf8 } from "../../src/bytes.ts";
import { SealError } from "../../src/errors.ts";
import { visibleContents } from "../../src/lint/layer-history.ts";
import { type LayerEntry, TreeBuilder } from "../../src/tree/build.ts";
import { type Directory, type ExternalContent, lookup, type Metadata, type Node } from "../../src/tree/node.ts";
import { sameTree } from "../../src/tree/same-tree.ts";

const METADATA: Metadata = { mode: 0o755, uid: 0, gid: 0, mtimeSec: 0n, mtimeNsec: 0, xattrs: [] };

const dir = (path: string, mode = 0o755): LayerEntry => ({
  path: utf8(path),
  metadata: { ...METADATA, mode },
  item: { kind: "directory" },
});
const file = (path: string, text = ""): LayerEntry => ({
  path: utf8(path),
  metadata: METADATA,
  item: { kind: "regular", content: { kind: "inline", bytes: utf8(text) } },
});
const hardlink = (path: string, target: string): LayerEntry => ({
  path: utf8(path),
  metadata: METADATA,
  item: { kind: "hardlink", target: utf8(target) },
});
const symlink = (path: string): LayerEntry => ({
  path: utf8(path),
  metadata: METADATA,
  item: { kind: "symlink", target: utf8("x") },
});

function build(...entries: LayerEntry[]): Directory {
  const builder = new TreeBuilder("layers");
  for (const entry of entries) builder.add(entry);
  return builder.finish();
}

function paths(directory: Directory, prefix = ""): string[] {
  return directory.entries.flatMap(({ name, node }) => {
    const path = `${prefix}${displayBytes(name)}`;
    return node.kind === "directory" ? [`${path}/`, ...paths(node, `${path}/`)] : [path];
  });
}

function at(root: Directory, name: string): Node | undefined {
  return lookup(root, utf8(name));
}

describe("TreeBuilder", () => {
  it("looks again for the directory of the entry before where it may be gone", () => {
    const before = [dir("a"), dir("a/b"), file("a/b/c")];
    for (const between of [file("a"), file("a/b"), file(".wh.a"), file("a/.wh.b"), file("a/.wh..wh..opq")]) {
      expect(() => build(...before, between, file("a/b/d"))).toThrow(SealError);
    }
    expect(paths(build(...before, file("a/.wh.b"), dir("a/b"), file("a/b/d")))).toEqual(
      paths(build(dir("a"), dir("a/b"), file("a/b/d"))),
    );
    for (const path of ["a/b/..", "a/b/d\0", `a/b/${"d".repeat(256)}`]) {
      expect(() => build(...before, file(path))).toThrow(SealError);
    }
  });

  it("puts entries into byte order, whatever order they come in", () => {
    expect(paths(build(dir("./"), dir("b"), file("b/z"), file("b/a"), file("a"), file("B")))).toEqual([
      "B",
      "a",
      "b/",
      "b/a",
      "b/z",
    ]);
  });

  it("drops leading slashes, empty names and dots", () => {
    expect(paths(build(dir("/"), dir("/a/"), file(".//a/./f")))).toEqual(["a/", "a/f"]);
  });

  it("gives a directory that comes again its new metadata and keeps its entries", () => {
    const root = build(dir("a", 0o700), file("a/f"), dir("a", 0o750));
    expect(at(root, "a")).toMatchObject({ mode: 0o750 });
    expect(paths(root)).toEqual(["a/", "a/f"]);
  });

  it("replaces everything else", () => {
    expect(at(build(dir("a"), file("a/f"), file("a", "new")), "a")).toMatchObject({ kind: "regular" });
    expect(paths(build(file("a"), dir("a")))).toEqual(["a/"]);
  });

  it("keeps hardlinks one inode, also when the first name goes", () => {
    const root = build(file("a", "x"), hardlink("b", "/a"), hardlink("c", "b"), file(".wh.a"));
    expect(paths(root)).toEqual(["b", "c"]);
    expect(at(root, "b")).toBe(at(root, "c"));
  });

  it("removes what whiteouts name, in the same layer too, whatever their type", () => {
    expect(
      paths(build(file("a"), dir("b"), file("b/c"), dir(".wh.a"), symlink("b/.wh..wh..opq"), file("b/d"))),
    ).toEqual(["b/", "b/d"]);
    expect(paths(build(file(".wh.nothing")))).toEqual([]);
  });

  it.each<[string, LayerEntry[], RegExp]>([
    ["a missing parent", [file("a/f")], /parent a has no entry/],
    ["a parent that is a file", [file("a"), file("a/f")], /parent a is not a directory/],
    ["a parent that is a symlink", [dir("x"), symlink("a"), file("a/f")], /parent a is not a directory/],
    ["..", [dir("a"), file("a/../f")], /\.\./],
    ["a root that is a file", [file("./")], /not a directory/],
    ["a hardlink to nothing", [hardlink("a", "b")], /not there/],
    ["a hardlink to a directory", [dir("b"), hardlink("a", "b")], /directory b/],
    ["a hardlink to the root", [hardlink("a", "/")], /directory/],
    ["a whiteout below nothing", [file("a/.wh.f")], /parent/],
    ["too long a name", [file("n".repeat(256))], /longer than 255/],
    [
      "too long an xattr",
      [{ ...file("a"), metadata: { ...METADATA, xattrs: [{ name: utf8("user.x"), value: new Uint8Array(65536) }] } }],
      /too long/,
    ],
  ])("refuses %s", (_, entries, message) => {
    expect(() => build(...entries)).toThrow(message);
  });
});

describe("TreeBuilder with a watcher", () => {
  it("makes up directories that have no entry, and tells of them", () => {
    const implied: string[] = [];
    const builder = new TreeBuilder("layers", { hidden: () => {}, implied: (path) => implied.push(path) });
    for (const entry of [dir("./"), file("a/b/c"), dir("a", 0o700)]) builder.add(entry);
    const root = builder.finish();
    expect(paths(root)).toEqual(["a/", "a/b/", "a/b/c"]);
    expect(implied).toEqual(["a", "a/b"]);
    expect(at(root, "a")).toMatchObject({ mode: 0o700 });
    expect(() => builder.add(file("a/b/c/d"))).toThrow(/its parent c is not a directory/);
  });

  it("tells of every file that the tree does not show any more, and builds the same tree", () => {
    const name = fc.constantFrom("a", "b", ".wh.a", ".wh.b", ".wh..wh..opq");
    const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join("/"));
    const kind = fc.constantFrom("file", "directory", "hardlink");
    fc.assert(
      fc.property(fc.array(fc.tuple(kind, path, path), { maxLength: 25 }), (list) => {
        const added = new Map<ExternalContent, string>();
        const hidden = new Set<object>();
        let implied = 0;
        const watched = new TreeBuilder("layers", {
          hidden: (_, content) => hidden.add(content),
          implied: () => implied++,
        });
        const plain = new TreeBuilder("layers");
        for (const [type, where, target] of list) {
          const content: ExternalContent = { kind: "external", size: 100n, digest: null, payload: null };
          const regular: LayerEntry = { path: utf8(where), metadata: METADATA, item: { kind: "regular", content } };
          const entry = type === "file" ? regular : type === "directory" ? dir(where) : hardlink(where, target);
          try {
            watched.add(entry);
            if (type === "file" && !/(?:^|\/)\.wh\.[^/]*$/.test(where)) added.set(content, where);
            if (implied === 0) plain.add(entry);
          } catch (error) {
            if (!(error instanceof SealError)) throw error;
          }
        }
        const root = watched.finish();
        const visible = visibleContents(root, added.keys());
        for (const content of added.keys()) expect(visible.has(content) || hidden.has(content)).toBe(true);
        expect(new Set([...added.keys(), ...hidden]).size).toBe(added.size);
        if (implied === 0) expect(paths(root)).toEqual(paths(plain.finish()));
      }),
      { numRuns: 300 },
    );
  });
});

describe("TreeBuilder on top of a tree", () => {
  const name = fc.constantFrom("a", "b", "c", "c", ".wh.a", ".wh.b", ".wh..wh..opq", "\xff\xfe");
  const path = fc
    .array(name, { minLength: 0, maxLength: 3 })
    .map((names) => Uint8Array.from(Buffer.from(`./${names.join("/")}`, "latin1")));
  const metadata = fc.record({
    mode: fc.constantFrom(0o755, 0o700),
    uid: fc.nat(2),
    gid: fc.constant(0),
    mtimeSec: fc.constantFrom(1n, 2n),
    mtimeNsec: fc.constant(0),
    xattrs: fc.constantFrom(
      [],
      [{ name: utf8("user.a"), value: utf8("1") }],
      [{ name: utf8("user.b"), value: utf8("1") }],
    ),
  });
  const item: fc.Arbitrary<LayerEntry["item"]> = fc.oneof(
    { weight: 4, arbitrary: fc.constant({ kind: "directory" } as const) },
    {
      weight: 3,
      arbitrary: fc
        .uint8Array({ maxLength: 1 })
        .map((bytes) => ({ kind: "regular", content: { kind: "inline", bytes } }) as const),
    },
    { weight: 2, arbitrary: path.map((target) => ({ kind: "hardlink", target }) as const) },
    fc.constant({ kind: "symlink", target: utf8("x") } as const),
    fc.constantFrom({ kind: "char", rdev: 1 } as const, { kind: "fifo" } as const),
  );
  const entries = fc.array(fc.record({ path, metadata, item }), { maxLength: 30 });

  /** What a builder makes of entries and says of them, in the order of the entries. */
  function made(list: readonly LayerEntry[], isWatched: boolean, base: Directory | null) {
    const said: string[][] = [];
    let now: string[] = [];
    const watcher = {
      hidden: (where: string, content: object) => now.push(`hidden ${where} ${JSON.stringify(content)}`),
      implied: (where: string) => now.push(`implied ${where}`),
    };
    const builder = new TreeBuilder("layers", isWatched ? watcher : null, base);
    for (const entry of list) {
      try {
        builder.add(entry);
      } catch (error) {
        if (!(error instanceof SealError)) throw error;
        now.push(error.message);
      }
      // What one entry hides comes in no order.
      said.push(now.sort());
      now = [];
    }
    return { root: builder.finish(), said };
  }

  it("makes the same of entries as one that had all of them, and says the same", () => {
    fc.assert(
      fc.property(entries, fc.boolean(), (list, isWatched) => {
        const whole = made(list, isWatched, null);
        for (let split = 0; split <= list.length; split++) {
          const lower = made(list.slice(0, split), isWatched, null);
          const kept = JSON.stringify(lower.root, (_, value) => (typeof value === "bigint" ? String(value) : value));
          const upper = made(list.slice(split), isWatched, lower.root);
          expect(sameTree(whole.root, upper.root)).toBe(true);
          expect([...lower.said, ...upper.said]).toEqual(whole.said);
          const after = JSON.stringify(lower.root, (_, value) => (typeof value === "bigint" ? String(value) : value));
          expect(after).toBe(kept);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("shares with the tree what does not change", () => {
    const lower = build(dir("a"), dir("a/b"), file("a/f"), dir("c"), file("c/f"));
    const builder = new TreeBuilder("layers", null, lower);
    builder.add(file("c/g"));
    const upper = builder.finish();
    expect(at(upper, "a")).toBe(at(lower, "a"));
    expect(paths(upper)).toEqual(["a/", "a/b/", "a/f", "c/", "c/f", "c/g"]);
    expect(new TreeBuilder("layers", null, lower).finish()).toEqual(lower);
  });
});
