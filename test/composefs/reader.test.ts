import { readdirSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat } from "../../src/chunks.ts";
import { readErofs } from "../../src/composefs/reader.ts";
import { writeErofs } from "../../src/composefs/writer.ts";
import { SealError } from "../../src/errors.ts";
import { writeDumpfile } from "../../src/tree/dumpfile.ts";
import type { Directory } from "../../src/tree/node.ts";
import { arbitraryTree } from "../support/arbitrary-tree.ts";
import { vector } from "../support/vectors.ts";

const IMAGES = ["image", "dumpfile"].flatMap((folder) =>
  readdirSync(new URL(`../vectors/${folder}`, import.meta.url))
    .filter((name) => name.endsWith(".erofs.gz"))
    .map((name) => `${folder}/${name}`),
);

function dump(root: Directory): string {
  return Buffer.from(concat([...writeDumpfile(root)])).toString("latin1");
}

describe("images of cfsctl and mkcomposefs", () => {
  it.each(IMAGES)("%s is read and written again as it was", (path) => {
    const bytes = vector(path);
    const { erofs, root, links } = readErofs(bytes, path);
    const algorithm = path.startsWith("dumpfile/") || path.includes("sha256") ? "sha256" : "sha512";
    const dialect = path.includes(".c.v") ? "c" : "composefs-rs";
    const written = concat([...writeErofs(root, { erofs, algorithm, dialect, links })]);
    expect(Buffer.compare(written, bytes)).toBe(0);
  });
});

describe.each(["v0", "v1", "v2"] as const)("%s", (erofs) => {
  it("gives back any tree that was written", () => {
    fc.assert(
      fc.property(arbitraryTree(), (root) => {
        const image = concat([...writeErofs(root, { erofs, algorithm: "sha512" })]);
        const read = readErofs(image, "x.erofs");
        expect(read.erofs).toBe(erofs);
        expect(read.links.size).toBe(0);
        // V2 does not store nanoseconds.
        const expected = erofs === "v2" ? dump(root).replace(/^(\S+(?: \S+){6} -?\d+)\.\d+/gm, "$1.0") : dump(root);
        expect(dump(read.root)).toBe(expected);
        expect(Buffer.compare(concat([...writeErofs(read.root, { erofs, algorithm: "sha512" })]), image)).toBe(0);
      }),
      { numRuns: 100 },
    );
  });
});

/** What reading damaged bytes may do: give a tree, or an error of the input. */
function readDamaged(bytes: Uint8Array): void {
  try {
    readErofs(bytes, "x.erofs");
  } catch (error) {
    expect(error).toBeInstanceOf(SealError);
    expect((error as SealError).code).toBe("input");
    expect((error as Error).message).toMatch(/^x\.erofs: [^\n]+$/);
  }
}

describe("hostile images", () => {
  const whole = vector("image/xattrs.sha512.v1.erofs.gz");
  const samples = ["image/hardlinks.sha512.v2.erofs.gz", "image/whiteout.sha512.v0.erofs.gz"].map(vector);

  it("refuses what is cut short", () => {
    for (let length = 0; length < whole.length; length += 97) {
      expect(() => readErofs(whole.subarray(0, length), "x.erofs")).toThrow(SealError);
    }
  });

  it("refuses other files", () => {
    expect(() => readErofs(new Uint8Array(), "x.erofs")).toThrow("x.erofs: truncated or corrupt");
    expect(() => readErofs(new Uint8Array(8192), "x.erofs")).toThrow("x.erofs: is not a composefs image");
  });

  it("survives flipped bits", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(whole, ...samples),
        fc.array(fc.tuple(fc.nat(1 << 16), fc.nat(7)), { minLength: 1, maxLength: 4 }),
        (image, flips) => {
          const bytes = Uint8Array.from(image);
          // Most of an image is padding; the damage goes to where inodes, directories and xattrs are.
          for (const [at, bit] of flips) {
            const index = 1024 + (at % (bytes.length - 1024));
            bytes[index] = (bytes[index] as number) ^ (1 << bit);
          }
          readDamaged(bytes);
        },
      ),
      { numRuns: 1500 },
    );
  });

  const NID_OFFSET = 14;
  const root = Buffer.from(whole).readUInt16LE(1024 + NID_OFFSET) * 32;

  function changed(change: (image: Buffer) => void): () => unknown {
    const image = Buffer.from(whole);
    change(image);
    return () => readErofs(image, "x.erofs");
  }

  it("refuses other blocks, features and versions", () => {
    expect(changed((image) => image.writeUInt32LE(3, 12))).toThrow(/unknown composefs version 1\.3/);
    expect(changed((image) => image.writeUInt32LE(7, 1024 + 8))).toThrow(/features/);
    expect(changed((image) => image.writeUInt8(9, 1024 + 12))).toThrow(/block sizes/);
    expect(changed((image) => image.writeUInt32LE(1, 1024 + 36))).toThrow(/blocks/);
    expect(changed((image) => image.writeUInt16LE(0xffff, 1024 + NID_OFFSET))).toThrow(/truncated or corrupt/);
  });

  it("refuses a root that is not a directory, and lying sizes", () => {
    expect(changed((image) => image.writeUInt16LE(0o100644, root + 4))).toThrow(/root is not a directory/);
    expect(changed((image) => image.writeUInt16LE(0xffff, root + 2))).toThrow(SealError);
    expect(changed((image) => image.writeUInt16LE(0x9999, root))).toThrow(/data layout/);
  });
});
