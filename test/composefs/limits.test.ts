/** What no image can hold is refused with the path, and never written wrong. */
import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import { byteLength, concat } from "../../src/chunks.ts";
import { erofsDigest } from "../../src/composefs/digest.ts";
import { readErofs } from "../../src/composefs/reader.ts";
import type { ErofsVersion } from "../../src/composefs/series.ts";
import { writeErofs } from "../../src/composefs/writer.ts";
import type { Directory, Leaf, Metadata, Xattr } from "../../src/tree/node.ts";

const META: Metadata = { mode: 0o644, uid: 0, gid: 0, mtimeSec: 0n, mtimeNsec: 0, xattrs: [] };

function tree(files: Readonly<Record<string, Leaf>>, name = "d"): Directory {
  const entries = Object.entries(files).map(([file, node]) => ({ name: utf8(file), node }));
  const inner: Directory = { kind: "directory", ...META, entries };
  return { kind: "directory", ...META, entries: [{ name: utf8(name), node: inner }] };
}

function inline(length: number, xattrs: readonly Xattr[] = []): Leaf {
  return { kind: "regular", ...META, xattrs, content: { kind: "inline", bytes: new Uint8Array(length) } };
}

function xattrs(count: number, valueLength: number): Xattr[] {
  return Array.from({ length: count }, (_, index) => ({
    name: utf8(`user.${String(index).padStart(4, "0")}`),
    value: new Uint8Array(valueLength),
  }));
}

const whiteout: Leaf = { kind: "char", ...META, rdev: 0 };
const all: readonly ErofsVersion[] = ["v0", "v1", "v2"];
const CASES: readonly (readonly [string, Directory, readonly ErofsVersion[], string])[] = [
  ["a hardlinked whiteout", tree({ a: whiteout, b: whiteout }), all, "/d/a: is a hardlinked whiteout"],
  ["a long name", tree({ f: inline(0) }, "n".repeat(256)), all, `/${"n".repeat(256)}: file name is longer`],
  [
    "a long symlink target",
    tree({ l: { kind: "symlink", ...META, target: utf8("t".repeat(4096)) } }),
    all,
    "/d/l: symlink target is longer than 4095",
  ],
  ["much inline content in V2", tree({ f: inline(4096) }), ["v2"], "/d/f: 4096 bytes of inline content"],
  [
    "many shared xattrs",
    tree({ a: inline(0, xattrs(256, 0)), b: inline(1, xattrs(256, 0)) }),
    all,
    "/d/a: 256 of its xattrs",
  ],
  ["much in xattrs", tree({ a: inline(0, xattrs(5, 65535)) }), all, "/d/a: its xattrs take"],
  [
    "a digest of another algorithm",
    tree({
      f: {
        kind: "regular",
        ...META,
        content: { kind: "external", size: 100n, digest: new Uint8Array(32), payload: "digest" },
      },
    }),
    all,
    "/d/f: its fs-verity digest is not sha512",
  ],
];

describe.each(CASES)("%s", (_, root, versions, message) => {
  it.each(versions)("is refused in %s", (erofs) => {
    expect(() => erofsDigest(root, { erofs, algorithm: "sha512" })).toThrow(
      expect.objectContaining({ code: "input", message: expect.stringContaining(message) }),
    );
  });
});

it("takes as much as the limits allow", () => {
  const root = tree({
    ["n".repeat(255)]: inline(0, xattrs(255, 0)),
    b: inline(1, xattrs(255, 0)),
    c: inline(0, xattrs(3, 65535)),
    l: { kind: "symlink", ...META, target: utf8("t".repeat(4095)) },
  });
  for (const erofs of all) expect(erofsDigest(root, { erofs, algorithm: "sha512" }).digest).toMatch(/^[0-9a-f]{128}$/);
});

describe("digests that begin alike", () => {
  const image = (first: number): Uint8Array[] => {
    const leaf = (at: number, value: number): Leaf => {
      const digest = new Uint8Array(64).fill(7);
      digest[at] = value;
      return { kind: "regular", ...META, content: { kind: "external", size: 100n, digest, payload: "digest" } };
    };
    return [...writeErofs(tree({ a: leaf(first, 1), b: leaf(first, 2) }), { erofs: "v1", algorithm: "sha512" })];
  };

  it("are not taken for equal", () => {
    const [entry] = readErofs(concat(image(63)), "x").root.entries;
    const files = entry?.node.kind === "directory" ? entry.node.entries : [];
    const last = files.map(({ node }) => {
      return node.kind === "regular" && node.content.kind === "external" ? node.content.digest?.at(63) : null;
    });
    expect(last).toEqual([1, 2]);
    expect(byteLength(image(63))).toBe(byteLength(image(0)));
  });
});
