/**
 * The virtual machines by architecture: what QEMU calls them, which firmware they start, and where Linux finds
 * their serial console.
 */
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import type { Packages } from "../packages.ts";

/** By the names of the UEFI specification. */
export const MACHINE_ARCHES = ["x64", "aa64"] as const;
export type MachineArch = (typeof MACHINE_ARCHES)[number];

export interface Firmware {
  /** Read-only flash with the program; one that knows Secure Boot. */
  readonly code: string;
  /** Variable store to start from. */
  readonly vars: string;
}

export interface MachineType {
  readonly qemu: string;
  readonly qemuPackages: Packages;
  /** Value of `-machine`. */
  readonly machine: string;
  /** How the flash of the firmware is protected. */
  readonly flash: readonly string[];
  /** Device that a TPM is seen as. */
  readonly tpm: string;
  /** The serial console, as Linux calls it. */
  readonly terminal: string;
  /** What firmware starts by itself on a disk (UEFI specification 3.5.1.1). */
  readonly loader: string;
  /** What the firmware is called in messages. */
  readonly firmwareName: string;
  readonly firmwarePackages: Packages;
  /** Where distributions put firmware with Secure Boot, and the empty variable store that belongs to it. */
  readonly firmware: readonly Firmware[];
}

export const MACHINE_TYPES: Readonly<Record<MachineArch, MachineType>> = {
  x64: {
    qemu: "qemu-system-x86_64",
    qemuPackages: {
      debian: "qemu-system-x86",
      fedora: "qemu-system-x86-core",
      arch: "qemu-system-x86",
      suse: "qemu-x86",
      alpine: "qemu-system-x86_64",
    },
    machine: "q35,smm=on",
    // Only the firmware may write to its flash, from system management mode: else programs could change the keys.
    flash: ["-global", "driver=cfi.pflash01,property=secure,value=on"],
    tpm: "tpm-crb",
    terminal: "ttyS0",
    loader: "EFI/BOOT/BOOTX64.EFI",
    firmwareName: "OVMF, the firmware",
    // Alpine's knows no Secure Boot.
    firmwarePackages: {
      debian: "ovmf",
      fedora: "edk2-ovmf",
      arch: "edk2-ovmf",
      suse: "qemu-ovmf-x86_64",
      alpine: null,
    },
    firmware: [
      // Debian, Ubuntu
      { code: "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", vars: "/usr/share/OVMF/OVMF_VARS_4M.fd" },
      // Fedora, CentOS
      { code: "/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", vars: "/usr/share/edk2/ovmf/OVMF_VARS.fd" },
      // Arch
      { code: "/usr/share/edk2/x64/OVMF_CODE.secboot.4m.fd", vars: "/usr/share/edk2/x64/OVMF_VARS.4m.fd" },
      // openSUSE
      { code: "/usr/share/qemu/ovmf-x86_64-smm-code.bin", vars: "/usr/share/qemu/ovmf-x86_64-smm-vars.bin" },
    ],
  },
  aa64: {
    qemu: "qemu-system-aarch64",
    qemuPackages: {
      debian: "qemu-system-arm",
      fedora: "qemu-system-aarch64-core",
      arch: "qemu-system-aarch64",
      suse: "qemu-arm",
      alpine: "qemu-system-aarch64",
    },
    machine: "virt",
    // There is no mode that only firmware runs in: a hostile system could change the keys of this machine.
    flash: [],
    tpm: "tpm-tis-device",
    terminal: "ttyAMA0",
    loader: "EFI/BOOT/BOOTAA64.EFI",
    firmwareName: "AAVMF, the firmware",
    firmwarePackages: {
      debian: "qemu-efi-aarch64",
      fedora: "edk2-aarch64",
      arch: null,
      suse: "qemu-uefi-aarch64",
      alpine: null,
    },
    firmware: [
      // Debian, Ubuntu
      { code: "/usr/share/AAVMF/AAVMF_CODE.secboot.fd", vars: "/usr/share/AAVMF/AAVMF_VARS.fd" },
    ],
  },
};

/** The firmware that is installed; null without any. */
export async function findFirmware(arch: MachineArch): Promise<Firmware | null> {
  const readable = (path: string) =>
    access(path, constants.R_OK).then(
      () => true,
      () => false,
    );
  for (const firmware of MACHINE_TYPES[arch].firmware) {
    if ((await readable(firmware.code)) && (await readable(firmware.vars))) return firmware;
  }
  return null;
}
