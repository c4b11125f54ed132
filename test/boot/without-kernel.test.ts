import { describe, expect, it } from "vitest";
import { rawKernelFiles, withoutRawKernels } from "../../src/boot/without-kernel.ts";
import { latin1 } from "../../src/bytes.ts";
import { allEntries } from "../../src/tree/links.ts";
import { type MemoryFiles, memoryRootfs } from "../support/tree.ts";

const DIRECTORY = { mode: 0o700, uid: 1, gid: 2, mtimeSec: 3n, mtimeNsec: 4, xattrs: [], content: null };

function removed(files: MemoryFiles) {
  const rootfs = memoryRootfs(files);
  const names = (root: typeof rootfs.root) => [...allEntries(root)].map(({ name }) => latin1(name));
  const paths = rawKernelFiles(rootfs).map((path) => path.map(latin1).join("/"));
  const { root } = withoutRawKernels(rootfs);
  expect(names(rootfs.root)).toHaveLength(names(root).length + paths.length);
  return { paths, root, names: names(root) };
}

describe("a root filesystem without its kernels", () => {
  it("has neither vmlinuz nor initramfs.img, and directories as they were", () => {
    const { paths, root, names } = removed({
      "usr/lib/modules/6.1": DIRECTORY,
      "usr/lib/modules/6.1/vmlinuz": "k",
      "usr/lib/modules/6.1/initramfs.img": "i",
      "usr/lib/modules/6.1/modules.dep": "",
      "usr/lib/modules/\xff/vmlinuz": { link: "../6.1/vmlinuz" },
      "usr/lib/modules/initrd-only/initramfs.img": "i",
      "boot/vmlinuz": "k",
    });
    expect(paths).toEqual([
      "usr/lib/modules/6.1/initramfs.img",
      "usr/lib/modules/6.1/vmlinuz",
      "usr/lib/modules/\xff/vmlinuz",
    ]);
    expect(names).toEqual([
      "boot",
      "vmlinuz",
      "usr",
      "lib",
      "modules",
      "6.1",
      "modules.dep",
      "initrd-only",
      "initramfs.img",
      "\xff",
    ]);
    const version = [...allEntries(root)].find(({ name }) => latin1(name) === "6.1");
    expect(version?.node).toMatchObject({ mode: 0o700, uid: 1, gid: 2, mtimeSec: 3n, mtimeNsec: 4 });
  });

  it("is found through a symlink in the tree", () => {
    expect(removed({ "usr/lib": { link: "lib64" }, "usr/lib64/modules/6.1/vmlinuz": "k" }).paths).toEqual([
      "usr/lib64/modules/6.1/vmlinuz",
    ]);
  });

  it("is what it was where there is no kernel", () => {
    const rootfs = memoryRootfs({ "usr/lib/modules/6.1/modules.dep": "" });
    expect(withoutRawKernels(rootfs)).toEqual(rootfs);
  });
});
