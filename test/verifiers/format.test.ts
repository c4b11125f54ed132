import { describe, expect, it } from "vitest";
import { distinctVariants, programName } from "../../src/verifiers/format.ts";

describe("distinctVariants", () => {
  it("has each text once and each name once", () => {
    const variants = [
      { name: "a", text: "1" },
      { name: "b", text: "1" },
      { name: "a", text: "2" },
      { name: "a-2", text: "3" },
      { name: "a", text: "4" },
    ];
    expect(distinctVariants(variants)).toEqual([
      { name: "a", text: "1" },
      { name: "a-2", text: "2" },
      { name: "a-2-2", text: "3" },
      { name: "a-3", text: "4" },
    ]);
  });
});

describe("programName", () => {
  it.each([
    ["EFI/BOOT/BOOTX64.EFI", "BOOTX64"],
    ["EFI/Linux/6.12+3-0.efi", "6.12+3-0"],
    ["../../x.efi", "x"],
    ["kernel", "kernel"],
  ])("is the name of the file alone: %s", (path, name) => {
    expect(programName(path)).toBe(name);
  });
});
