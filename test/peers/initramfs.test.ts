/** The initramfs of each generator that Debian has: cpio's list of its files, and what seal finds in it. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { expect, it } from "vitest";
import { readInitramfs } from "../../src/boot/initramfs.ts";
import { latin1 } from "../../src/bytes.ts";
import { debianInitramfs, describeWith, inTree, realRootfs } from "../support/peers.ts";

const UNPACK = { none: (bytes: Uint8Array) => bytes, gzip: gunzipSync, zstd: zstdDecompressSync };

/** What GNU cpio lists of an archive, as seal writes paths. */
function listed(archive: Uint8Array): string[] {
  const [command = "", ...args] = [...inTree(realRootfs() ?? ""), "cpio", "--list", "--quiet"];
  const list = execFileSync(command, args, { input: archive, stdio: ["pipe", "pipe", "ignore"], maxBuffer: 1 << 26 });
  return latin1(list)
    .split("\n")
    .map((name) => name.replace(/^\.?\/+/, ""))
    .filter((name) => name !== "" && name !== ".");
}

describeWith(["initramfs", "rootfs", "root"], "seal reads what Debian's generators make", () => {
  it.each([
    ["initramfs-tools", ["none", "zstd"], "init"],
    ["dracut", ["zstd"], "usr/lib/initrd-release"],
    ["tiny-initramfs", ["gzip"], "init"],
  ] as const)("%s", async (generator, compressions, file) => {
    const bytes = readFileSync(debianInitramfs(generator));
    const { archives, files, unreadable } = await readInitramfs([bytes], generator);
    expect(unreadable).toBeNull();
    expect(archives.map(({ compression }) => compression)).toEqual(compressions);
    expect(files.get(file)?.content.length).toBeGreaterThan(0);
    const names = archives.flatMap(({ compression, offset, size }) => {
      const packed = bytes.subarray(offset, offset + size);
      if (compression !== "none" && compression !== "gzip" && compression !== "zstd") throw new Error(compression);
      return listed(UNPACK[compression](packed));
    });
    expect(names.length).toBeGreaterThan(10);
    expect(new Set([...files.keys()].filter((name) => name !== ""))).toEqual(new Set(names));
  });
});
