/**
 * Names of architectures in file names of the UEFI world (`BOOTX64.EFI`, `linuxx64.efi.stub`) and
 * their COFF machine types.
 */

/** UEFI specification 2.10, 3.5.1.1 (removable media), in lower case. */
export const EFI_ARCHES = ["x64", "ia32", "aa64", "arm", "riscv32", "riscv64", "loongarch32", "loongarch64"] as const;
/** The name of an architecture in EFI file names, such as `x64`. */
export type EfiArch = (typeof EFI_ARCHES)[number];

/** PE Format, "Machine types". ARM is Thumb-2 (IMAGE_FILE_MACHINE_ARMNT or _THUMB). */
const MACHINES: Readonly<Record<EfiArch, readonly number[]>> = {
  x64: [0x8664],
  ia32: [0x014c],
  aa64: [0xaa64],
  arm: [0x01c2, 0x01c4],
  riscv32: [0x5032],
  riscv64: [0x5064],
  loongarch32: [0x6232],
  loongarch64: [0x6264],
};

/**
 * Architectures in image configurations, as Go has them (OCI image specification, "Image
 * Configuration", `architecture`).
 */
const GO_ARCHES: Readonly<Record<string, EfiArch>> = {
  amd64: "x64",
  "386": "ia32",
  arm64: "aa64",
  arm: "arm",
  riscv64: "riscv64",
  loong64: "loongarch64",
};

/** The architecture that an image's configuration names; null for one that UEFI does not know. */
export function efiArchOfGo(name: string): EfiArch | null {
  return GO_ARCHES[name] ?? null;
}

/** What an image's configuration calls an architecture; null for one that Go does not know. */
export function goArchOf(arch: EfiArch): string | null {
  return Object.keys(GO_ARCHES).find((name) => GO_ARCHES[name] === arch) ?? null;
}

/** The architecture of a COFF machine type; null for one that UEFI does not know. */
export function efiArchOfMachine(machine: number): EfiArch | null {
  return EFI_ARCHES.find((arch) => MACHINES[arch].includes(machine)) ?? null;
}

/**
 * Whether a stub can start a kernel: both are for one architecture, or a 64-bit x86 kernel runs under 32-bit firmware
 * (Linux CONFIG_EFI_MIXED).
 */
export function stubStartsKernel(stubMachine: number, kernelMachine: number): boolean {
  const [stub, kernel] = [efiArchOfMachine(stubMachine), efiArchOfMachine(kernelMachine)];
  return stubMachine === kernelMachine || (stub !== null && stub === kernel) || (stub === "ia32" && kernel === "x64");
}
