import { randomBytes } from "node:crypto";
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { readKernel } from "../../src/boot/kernel.ts";
import { openRootfs } from "../../src/io/rootfs.ts";
import { mountByFacts, mountOfTree } from "../../src/lint/root-mount.ts";
import { isWorthAhead } from "../../src/pe/digest.ts";
import { kernelAhead } from "../../src/seal/kernel-ahead.ts";
import type { Rootfs } from "../../src/tree/rootfs.ts";
import { cpioArchive } from "../support/cpio.ts";
import { tempDir } from "../support/temp.ts";

const MODULES = "usr/lib/modules/6.1.0";

/** A tree with a kernel and an initramfs that a thread is worth starting for. */
async function treeWith(initramfs: Uint8Array): Promise<{ rootfs: Rootfs; place: string }> {
  const root = tempDir();
  mkdirSync(join(root, MODULES), { recursive: true });
  writeFileSync(join(root, MODULES, "vmlinuz"), randomBytes(2 << 20));
  writeFileSync(join(root, MODULES, "initramfs.img"), initramfs);
  const reading = { algorithm: null, xattrs: [], cwd: root } as const;
  const { rootfs } = await openRootfs({ kind: "dir", path: root, subject: "root" }, reading);
  return { rootfs, place: join(root, MODULES, "initramfs.img") };
}

function archive(): Uint8Array {
  return zstdCompressSync(cpioArchive([{ name: "noise", content: randomBytes(9 << 20) }]));
}

describe("kernelAhead", () => {
  it("reads the same kernel, and sees the same in its initramfs, as this thread does", async () => {
    for (const initramfs of [archive(), randomBytes(9 << 20)]) {
      const { rootfs } = await treeWith(initramfs);
      const ahead = await kernelAhead(rootfs, null);
      if (ahead === null) throw new Error("nothing was read");
      const files = await readKernel(rootfs, null);
      expect(ahead.files.version).toBe(files.version);
      expect(ahead.files.subject).toBe(files.subject);
      expect(Buffer.compare(ahead.files.kernel, files.kernel)).toBe(0);
      expect(Buffer.compare(ahead.files.initramfs, files.initramfs)).toBe(0);
      expect(await mountByFacts(rootfs, ahead.facts)).toEqual(await mountOfTree(rootfs, [files.initramfs]));
      expect(isWorthAhead("sha256", [ahead.files.initramfs])).toBe(false);
    }
  });

  it("leaves it to this thread where that is quicker, and where a file is not what the tree says", async () => {
    const little = await treeWith(randomBytes(1 << 20));
    expect(await kernelAhead(little.rootfs, null)).toBeNull();
    expect(await kernelAhead(little.rootfs, "other")).toBeNull();
    const { rootfs, place } = await treeWith(archive());
    appendFileSync(place, "more");
    expect(await kernelAhead(rootfs, null)).toBeNull();
    await expect(readKernel(rootfs, null)).rejects.toThrow("changed while it was read");
  });
});
