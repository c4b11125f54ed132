import { describe, expect, it } from "vitest";
import { chooseKernel, findKernels, readKernel } from "../../src/boot/kernel.ts";
import { memoryRootfs } from "../support/tree.ts";

const M = "usr/lib/modules";

describe("findKernels", () => {
  it("counts directories with vmlinuz, in order", () => {
    const rootfs = memoryRootfs({
      [`${M}/6.2/vmlinuz`]: "b",
      [`${M}/6.10/vmlinuz`]: "a",
      [`${M}/6.10/initramfs.img`]: "i",
      [`${M}/6.3/kernel.ko`]: "modules only",
      [`${M}/current`]: { link: "6.2" },
      [`${M}/vmlinuz`]: "not in a directory",
    });
    expect(findKernels(rootfs)).toEqual([
      { version: "6.10", initramfs: true },
      { version: "6.2", initramfs: false },
    ]);
  });

  it("finds none where there are no modules", () => {
    expect(findKernels(memoryRootfs({}))).toEqual([]);
    expect(findKernels(memoryRootfs({ [M]: "a file" }))).toEqual([]);
  });
});

describe("chooseKernel", () => {
  const two = [{ version: "6.12.107" }, { version: "6.12.90" }];

  it("takes the only one, or the one asked for", () => {
    expect(chooseKernel(two.slice(0, 1), "/target", null)).toEqual({ version: "6.12.107" });
    expect(chooseKernel(two, "/target", "6.12.90")).toEqual({ version: "6.12.90" });
  });

  it.each([
    [two, null, "/target has two kernels (6.12.107, 6.12.90). Choose one with --kver, or remove the other."],
    [
      [...two, { version: "7" }],
      null,
      "/target has three kernels (6.12.107, 6.12.90, 7). Choose one with --kver, or remove the others.",
    ],
    [two, "6", "/target has no kernel 6, only 6.12.107, 6.12.90. Choose one of these with --kver"],
    [[], null, expect.stringMatching(/^\/target has no kernel \(usr\/lib\/modules\/\*\/vmlinuz\)\. .*--kernel-dir$/)],
  ])("answers %j asked for %j with one line", (kernels, version, message) => {
    expect(() => chooseKernel(kernels, "/target", version)).toThrow(
      expect.objectContaining({ code: "input", message }),
    );
  });
});

describe("readKernel", () => {
  it("refuses a directory whose name is not UTF-8, for it is not a version", async () => {
    const rootfs = memoryRootfs({ [`${M}/6.2-\xff/vmlinuz`]: "k", [`${M}/6.2-\xff/initramfs.img`]: "i" });
    await expect(readKernel(rootfs, null)).rejects.toMatchObject({
      code: "input",
      message: expect.stringContaining("usr/lib/modules/6.2-\\xff: the name of a kernel's directory must be UTF-8"),
    });
  });

  it("reads both files", async () => {
    const rootfs = memoryRootfs({ [`${M}/6.2/vmlinuz`]: "k", [`${M}/6.2/initramfs.img`]: "i" });
    const files = await readKernel(rootfs, null);
    expect([files.version, ...[files.kernel, files.initramfs].map((bytes) => Buffer.from(bytes).toString())]).toEqual([
      "6.2",
      "k",
      "i",
    ]);
  });

  it("says when the initramfs is missing, and when the kernel leads out of the tree", async () => {
    await expect(readKernel(memoryRootfs({ [`${M}/6.2/vmlinuz`]: "k" }), null)).rejects.toMatchObject({
      code: "input",
      message: expect.stringMatching(/^\/target: usr\/lib\/modules\/6\.2\/initramfs\.img is missing\. /),
    });
    const linked = memoryRootfs({ [`${M}/6.2/vmlinuz`]: { link: "/boot/vmlinuz" }, [`${M}/6.2/initramfs.img`]: "i" });
    await expect(readKernel(linked, null)).rejects.toMatchObject({
      code: "input",
      message: expect.stringContaining("absolute"),
    });
  });
});
