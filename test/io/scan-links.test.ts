/** Hardlinks on a filesystem that reports a wrong number of links, as fuse-overlayfs does. */
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { erofsDigest } from "../../src/composefs/digest.ts";
import type * as Libc from "../../src/io/libc.ts";
import { scanDirectory } from "../support/scan.ts";
import { tempDir } from "../support/temp.ts";

const reported = vi.hoisted(() => ({ links: null as number | null }));

vi.mock("../../src/io/libc.ts", async (importOriginal) => {
  const original = await importOriginal<typeof Libc>();
  const lstat: typeof original.lstat = (path, into) => {
    original.lstat(path, into);
    into.links = reported.links ?? into.links;
  };
  return { ...original, lstat };
});

it("are one node, whatever number is reported", async () => {
  const path = tempDir();
  mkdirSync(join(path, "below"));
  for (const [name, size] of [
    ["large", 5000],
    ["small", 5],
    ["single", 5000],
  ] as const) {
    writeFileSync(join(path, name), Buffer.alloc(size, name));
  }
  symlinkSync("target", join(path, "symlink"));
  for (const name of ["large", "small", "symlink"]) linkSync(join(path, name), join(path, "below", name));
  const scan = async (links: number | null) => {
    reported.links = links;
    const { root, stats } = await scanDirectory(path, { algorithm: "sha512", xattrs: "all" });
    return { stats, digest: erofsDigest(root, { erofs: "v1", algorithm: "sha512" }).digest };
  };
  const expected = await scan(null);
  expect(expected.stats.files).toBe(3);
  for (const links of [0, 1, 2]) expect(await scan(links)).toEqual(expected);
});
