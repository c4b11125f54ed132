import { describe, expect, it } from "vitest";
import { efiArchOfMachine, stubStartsKernel } from "../../src/pe/arch.ts";

const [X64, IA32, AA64, ARMNT, THUMB] = [0x8664, 0x14c, 0xaa64, 0x1c4, 0x1c2];

describe("architectures", () => {
  it("have UEFI's names", () => {
    expect([X64, IA32, AA64, ARMNT, THUMB, 0x5064, 0x6264, 0x1234].map(efiArchOfMachine)).toEqual([
      ...["x64", "ia32", "aa64", "arm", "arm", "riscv64", "loongarch64", null],
    ]);
  });

  it("of stub and kernel must agree, but for 64-bit kernels on 32-bit x86 firmware", () => {
    expect(stubStartsKernel(X64, X64)).toBe(true);
    expect(stubStartsKernel(ARMNT, THUMB)).toBe(true);
    expect(stubStartsKernel(0x1234, 0x1234)).toBe(true);
    expect(stubStartsKernel(IA32, X64)).toBe(true);
    expect(stubStartsKernel(X64, IA32)).toBe(false);
    expect(stubStartsKernel(AA64, X64)).toBe(false);
    expect(stubStartsKernel(0x1234, 0x4321)).toBe(false);
  });
});
