import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FoundInodes } from "../../src/io/found-inodes.ts";
import type { Leaf } from "../../src/tree/node.ts";

const leaf = (): Leaf => ({ kind: "fifo", mode: 0, uid: 0, gid: 0, mtimeSec: 0n, mtimeNsec: 0, xattrs: [] });

describe("FoundInodes", () => {
  it("finds what was added, whatever number of names it had then, and however many were looked for before", () => {
    const inode = fc.tuple(fc.nat(2), fc.oneof(fc.nat(20), fc.constant(2n ** 60n)));
    const step = fc.record({ inode, links: fc.constantFrom(1, 2), isLookedFor: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const found = new FoundInodes();
        const expected = new Map<string, Leaf>();
        for (const { inode, links, isLookedFor } of steps) {
          const [device, number] = inode;
          const known = expected.get(String(inode));
          if (isLookedFor) expect(found.find(device, number)).toBe(known);
          if (known !== undefined) continue;
          const added = leaf();
          found.add(device, number, links, added);
          expected.set(String(inode), added);
        }
        for (const { inode } of steps) expect(found.find(...inode)).toBe(expected.get(String(inode)));
      }),
    );
  });
});
