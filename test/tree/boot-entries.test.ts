import { describe, expect, it } from "vitest";
import { seriesOf } from "../../src/composefs/named-release.ts";
import { transformTree } from "../../src/tree/apply.ts";
import type { TransformOptions } from "../../src/tree/transform.ts";
import { type MemoryFiles, memoryRootfs } from "../support/tree.ts";

const OPTIONS: TransformOptions = {
  rules: seriesOf("latest").rules,
  transform: "boot",
  xattrs: "allowlist",
  mtime: "exact",
};
const BASE: MemoryFiles = { usr: null, boot: null, sysroot: null };
const KERNEL = { "boot/linux": "kernel", "boot/initrd": "initrd" };
const ENTRY = "boot/loader/entries/a.conf";

describe("boot entries of layers", () => {
  const good: Readonly<Record<string, MemoryFiles>> = {
    "none at all": {},
    "an entry with its files": {
      ...KERNEL,
      [ENTRY]: "title x\nlinux  /boot/linux\ninitrd\tboot/initrd\nlinuxes /no\n",
    },
    "files of other names": { "boot/loader/entries/readme": { link: "x" }, "boot/EFI/Linux/a.txt": { link: "x" } },
    "programs at any depth": { "boot/EFI/Linux/a.efi": "x", "usr/lib/modules/6/a.efi.extra.d/b.addon.efi": "x" },
    "no directory in modules": { "usr/lib/modules/x": { link: "y" } },
    "an odd name without a kernel": { "usr/lib/modules/\xff/x": "y" },
  };
  it.each(Object.entries(good))("are taken: %s", async (_, files) => {
    await transformTree(memoryRootfs({ ...BASE, ...files }, "layers"), OPTIONS);
  });

  const bad: readonly (readonly [string, MemoryFiles, RegExp])[] = [
    ["a file that is missing", { [ENTRY]: "linux /boot/none\n" }, /a\.conf: names \/boot\/none, which is not a file/],
    ["a file that is a symlink", { ...KERNEL, "boot/x": { link: "linux" }, [ENTRY]: "efi /boot/x" }, /names \/boot\/x/],
    ["no UTF-8", { [ENTRY]: Buffer.from([0xff]) }, /a\.conf: a boot entry must be UTF-8/],
    ["an entry that is a symlink", { [ENTRY]: { link: "b" } }, /a\.conf: is a symlink, not a boot entry/],
    ["an entry that is a directory", { [ENTRY]: null }, /a\.conf: is a directory, not a boot entry/],
    [
      "a program that is a symlink",
      { "boot/EFI/Linux/x/a.efi": { link: "b" } },
      /a\.efi is a symlink, not an EFI program/,
    ],
    ["a module that is one", { "usr/lib/modules/6/a.efi": { link: "b" } }, /modules\/6: a\.efi is a symlink/],
    ["no directory on the way", { "boot/loader": { link: "b" } }, /boot\/loader\/entries: loader is a symlink/],
    ["modules that are none", { "usr/lib/modules": "x" }, /usr\/lib\/modules: modules is a regular file; bootc/],
    ["a kernel of a bad name", { "usr/lib/modules/\xff/vmlinuz": "x" }, /must be UTF-8/],
  ];
  it.each(bad)("are refused: %s", async (_, files, message) => {
    await expect(transformTree(memoryRootfs({ ...BASE, ...files }, "layers"), OPTIONS)).rejects.toThrow(message);
    // A mounted tree is not asked for them.
    await transformTree(memoryRootfs({ ...BASE, ...files }, "mounted"), OPTIONS);
  });
});
