import { randomBytes } from "node:crypto";
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { readKernel } from "../../src/boot/kernel.ts";
import { openRootfs } from "../../src/io/rootfs.ts";
import { parseRootfsSource } from "../../src/io/rootfs-source.ts";
import { mountByFacts, mountOfTree } from "../../src/lint/root-mount.ts";
import { isWorthAhead } from "../../src/pe/digest.ts";
import { kernelAhead } from "../../src/seal/kernel-ahead.ts";
import type { Rootfs } from "../../src/tree/rootfs.ts";
import { cpioArchive } from "../support/cpio.ts";
import { writeLayout } from "../support/layout.ts";
import { tarArchive, tarDirectory, tarFile } from "../support/tar.ts";
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

/** The same in an image. @param needs what contents are kept for */
async function imageWith(initramfs: Uint8Array, needs: "all" | "digest"): Promise<{ rootfs: Rootfs }> {
  const path = tempDir();
  const files = [tarFile(`${MODULES}/vmlinuz`, randomBytes(2 << 20)), tarFile(`${MODULES}/initramfs.img`, initramfs)];
  const directories = ["usr", "usr/lib", "usr/lib/modules", MODULES].map((name) => tarDirectory(`${name}/`));
  writeLayout(path, [tarArchive(...directories, ...files)], { compression: "none" });
  const reading = { algorithm: "sha512", xattrs: [], cwd: "/", platform: "linux/amd64", needs } as const;
  return openRootfs(parseRootfsSource(`oci:${path}`), reading);
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

  it("examines an initramfs of an image that was kept when its layers were read", async () => {
    for (const initramfs of [archive(), randomBytes(9 << 20)]) {
      const { rootfs } = await imageWith(initramfs, "all");
      const ahead = await kernelAhead(rootfs, null);
      if (ahead === null) throw new Error("nothing was examined");
      const files = await readKernel(rootfs, null);
      const { kernel, initramfs: found, ...named } = ahead.files;
      expect(files).toMatchObject(named);
      expect(Buffer.compare(kernel, files.kernel)).toBe(0);
      expect(Buffer.compare(found, initramfs)).toBe(0);
      expect(await mountByFacts(rootfs, ahead.facts)).toEqual(await mountOfTree(rootfs, [initramfs]));
      expect(isWorthAhead("sha256", [files.initramfs])).toBe(false);
    }
    // Its layer would have to be unpacked again, by two threads.
    const { rootfs } = await imageWith(archive(), "digest");
    expect(await kernelAhead(rootfs, null)).toBeNull();
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
