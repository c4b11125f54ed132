import { describe, expect, it } from "vitest";
import { InodeTable } from "../../src/io/inode-table.ts";
import { emptyStat, type Stat } from "../../src/io/libc.ts";
import type { Leaf } from "../../src/tree/node.ts";

function stat(ino: number | bigint, links: number, devMinor = 0): Stat {
  return { ...emptyStat(), ino, links, devMajor: 8, devMinor };
}

function leaf(): Leaf {
  return { kind: "fifo", mode: 0o644, uid: 0, gid: 0, mtimeSec: 0n, mtimeNsec: 0, xattrs: [] };
}

/** Adds what the table does not know, as a walk does. @returns the leaf of each name */
function walk(table: InodeTable, names: readonly Stat[]): Leaf[] {
  return names.map((name) => {
    const known = table.get(name);
    if (known !== undefined) return known;
    const added = leaf();
    table.add(name, added);
    return added;
  });
}

describe("InodeTable", () => {
  it("has one leaf for all names of an inode", () => {
    const table = new InodeTable();
    const [first, other, again] = walk(table, [stat(7, 2), stat(8, 2), stat(7, 2)]);
    expect(again).toBe(first);
    expect(other).not.toBe(first);
    expect(table.duplicates().size).toBe(0);
  });

  it.each([
    ["of one link each", [1, 1, 1]],
    ["of no link", [0, 0, 0]],
    ["of one, then of two", [1, 2, 2]],
    ["of two, then of one", [2, 1, 2]],
    ["of one, of two, of one", [1, 2, 1]],
  ])("finds names of an inode that is reported with a wrong number: %s", (_, links) => {
    const table = new InodeTable();
    const strangers = Array.from({ length: 3000 }, (_name, index) => stat(2 * index, 1));
    const leaves = walk(table, [...strangers, ...links.map((count) => stat(1001, count)), stat(1001, 1, 1)]);
    const duplicates = table.duplicates();
    const resolved = leaves.map((one) => duplicates.get(one) ?? one);
    expect(new Set(resolved.slice(3000, 3003)).size).toBe(1);
    // All others, and that of another device, stay what they are.
    expect(new Set(resolved).size).toBe(3002);
    for (const one of duplicates.keys()) expect(leaves.slice(3000, 3003)).toContain(one);
    for (const one of duplicates.values()) expect(duplicates.has(one)).toBe(false);
  });

  it("has numbers that no float64 is", () => {
    const table = new InodeTable();
    const large = 2n ** 63n + 1n;
    const [first, next, again] = walk(table, [stat(large, 1), stat(large + 1n, 1), stat(large, 1)]);
    expect(again).toBe(first);
    expect(next).not.toBe(first);
    expect(table.duplicates().size).toBe(0);
  });

  it("finds an inode by its number, whatever number of links it has now", () => {
    const table = new InodeTable();
    const [one, two] = walk(table, [stat(5, 1), stat(6, 2)]);
    expect([table.find(stat(5, 2)), table.find(stat(6, 1)), table.find(stat(7, 1))]).toEqual([one, two, undefined]);
    expect(table.find(stat(5, 2))).toBe(one);
    expect(table.find(stat(5, 1, 1))).toBeUndefined();
  });

  it("takes an inode that got another name while it was read, and is known by that", () => {
    const table = new InodeTable();
    const [first, late] = [leaf(), leaf()];
    table.add(stat(5, 2), first);
    table.add(stat(5, 2), late);
    expect(table.duplicates()).toEqual(new Map([[late, first]]));
  });
});
