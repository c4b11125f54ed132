import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import { hardlinks } from "../../src/tree/links.ts";
import type { Directory, Leaf, Node } from "../../src/tree/node.ts";

const METADATA = { mode: 0o644, uid: 0, gid: 0, mtimeSec: 0n, mtimeNsec: 0, xattrs: [] };

function directory(entries: Readonly<Record<string, Node>>): Directory {
  const list = Object.entries(entries).map(([name, node]) => ({ name: utf8(name), node }));
  return { kind: "directory", ...METADATA, entries: list };
}

function fifo(): Leaf {
  return { kind: "fifo", ...METADATA };
}

describe("hardlinks", () => {
  it("are the inodes with several names, in the order of their first ones", () => {
    const [one, two, three] = [fifo(), fifo(), fifo()];
    const below = directory({ a: two, b: one });
    const root = directory({ a: one, b: below, c: three, d: two, e: fifo(), f: one });
    const links = [...hardlinks(root)];
    expect(links.map(([leaf]) => leaf)).toEqual([one, two]);
    expect(links.map(([, { count }]) => count)).toEqual([3, 2]);
    expect(links.map(([, { first }]) => first)).toEqual([root.entries[0], below.entries[0]]);
    expect(links.every(([leaf, { first }]) => first.node === leaf)).toBe(true);
  });

  it("are none where every inode has one name, equal ones included", () => {
    expect(hardlinks(directory({ a: fifo(), b: fifo() })).size).toBe(0);
  });

  it("refuse a directory with two names", () => {
    const twice = directory({});
    expect(() => hardlinks(directory({ a: twice, b: twice }))).toThrow("a directory stands in the tree twice");
  });
});
