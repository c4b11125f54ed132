/** What EFI programs in `/boot` are, by what is in them, and what they may be called there. */
import { displayBytes } from "../bytes.ts";
import { concat, readRange } from "../chunks.ts";
import { inputError, SealError } from "../errors.ts";
import { type EfiArch, efiArchOfMachine } from "../pe/arch.ts";
import { findSection, type PeImage, parsePe, sectionData } from "../pe/headers.ts";
import { isLinuxImage, kernelVersion, LINUX_HEAD } from "../pe/kernel-version.ts";
import { type OsRelease, parseOsRelease } from "./os-release.ts";

/** IMAGE_SUBSYSTEM_EFI_APPLICATION. */
const EFI_APPLICATION = 10;
/** Applications, drivers for boot services and for the run time: what firmware loads from a file system. */
const EFI_SUBSYSTEMS: ReadonlySet<number> = new Set([EFI_APPLICATION, 11, 12]);

/** Whether firmware accepts a PE file as an EFI program; Windows programs have other subsystems. */
export function isEfiProgram({ subsystem }: Pick<PeImage, "subsystem">): boolean {
  return EFI_SUBSYSTEMS.has(subsystem);
}

/** How much of a file {@link beginsLikeEfiProgram} looks at. */
export const PROGRAM_HEAD = 4096;
/**
 * Offset of the subsystem after the signature of PE32 and PE32+ (PE Format, "Optional Header Windows-Specific Fields").
 */
const SUBSYSTEM = 24 + 68;

/** Whether a file begins like an EFI program, whatever else is in it; kernels can't be recognised by their names. */
export function beginsLikeEfiProgram(head: Uint8Array): boolean {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (head.length < 0x40 || view.getUint16(0) !== 0x4d5a) return false;
  const pe = view.getUint32(0x3c, true);
  if (pe + SUBSYSTEM + 2 > head.length || view.getUint32(pe) !== 0x50450000) return false;
  return EFI_SUBSYSTEMS.has(view.getUint16(pe + SUBSYSTEM, true));
}

/** Whether a PE file carries a kernel, which makes it a UKI (UAPI Group Specification "Unified Kernel Image"). */
export function isUki(pe: PeImage): boolean {
  return findSection(pe, ".linux") !== null;
}

/** Sections that systemd-stub takes from an addon; `.initrd` since systemd 257. */
export const ADDON_SECTIONS = [".cmdline", ".dtb", ".dtbauto", ".initrd", ".ucode"] as const;

/**
 * In what EFI Boot Guard's `bg_gen_unified_kernel` makes: its own stub, with `.cmdline`, `.kernel`,
 * `.initrd` and `.dtb-1`.
 */
const BOOT_GUARD_KERNEL = ".kernel";

/**
 * The kind of a PE file: `uki`; `addon`: has a section that addons have, and no kernel; `boot-guard`: a unified kernel
 * of EFI Boot Guard; `kernel`: a bare Linux kernel; `other`: anything else, a boot loader or a shell.
 */
export type ProgramKind = "uki" | "addon" | "boot-guard" | "kernel" | "other";

export function programKind(pe: PeImage): ProgramKind {
  if (isUki(pe)) return "uki";
  if (findSection(pe, BOOT_GUARD_KERNEL) !== null) return "boot-guard";
  if (isLinuxImage(concat([...readRange(pe.file, 0, Math.min(pe.length, LINUX_HEAD))]))) return "kernel";
  return ADDON_SECTIONS.some((name) => findSection(pe, name) !== null) ? "addon" : "other";
}

/** The kernel version that a UKI says it has (`.uname`); null when it does not. */
export function ukiVersion(pe: PeImage): string | null {
  const section = findSection(pe, ".uname");
  if (section === null) return null;
  return displayBytes(concat(sectionData(pe, section))).replace(/(?:\\x00|\\x0a|\s)+$/, "") || null;
}

/** The os-release in a UKI; null: it has none. */
export function ukiOsRelease(pe: PeImage): OsRelease | null {
  const section = findSection(pe, ".osrel");
  return section === null ? null : parseOsRelease(concat(sectionData(pe, section)));
}

/** The version of the kernel in a UKI, from the kernel itself if `.uname` is missing; null if neither has it. */
export function ukiKernelVersion(pe: PeImage): string | null {
  const section = findSection(pe, ".linux");
  const version = ukiVersion(pe);
  if (version !== null || section === null) return version;
  try {
    return kernelVersion(concat(sectionData(pe, section)), pe.subject, "any");
  } catch (error) {
    if (error instanceof SealError) return null;
    throw error;
  }
}

/** Machine type of the kernel in a UKI; null if the kernel is not a PE file. */
export function kernelMachine(pe: PeImage): number | null {
  const section = findSection(pe, ".linux");
  if (section === null) return null;
  try {
    return parsePe(sectionData(pe, section), pe.subject).machine;
  } catch (error) {
    if (error instanceof SealError) return null;
    throw error;
  }
}

/**
 * The architecture of a program that firmware starts.
 * @throws SealError `input` when it is not an EFI application, or is for a machine that UEFI does not know
 */
export function programArch(pe: PeImage): EfiArch {
  const arch = efiArchOfMachine(pe.machine);
  if (arch === null || pe.subsystem !== EFI_APPLICATION) {
    const machine = `machine 0x${pe.machine.toString(16)}, subsystem ${pe.subsystem}`;
    throw inputError(pe.subject, `is not an EFI application of a known architecture (${machine})`);
  }
  return arch;
}

/** systemd-boot takes these characters in names of entries; FAT takes all of them. */
const ENTRY_NAME = /^[A-Za-z0-9._+@-]+$/;
/** Longest name on FAT. */
const NAME_MAX = 255;

/** @throws SealError `input` for a name that FAT or systemd-boot do not take */
export function checkEntryName(name: string, subject: string): void {
  if (ENTRY_NAME.test(name) && name.length <= NAME_MAX) return;
  throw inputError(
    subject,
    `can't be called ${JSON.stringify(name)}: names of entries are up to ${NAME_MAX} letters, digits, ".", "_", "+", "@" and "-"`,
  );
}
