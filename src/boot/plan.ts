/**
 * The final `/boot` as plain data: UKIs as entries of type #2 (Boot Loader Specification), systemd-boot under its own name and under the
 * one that firmware tries by itself (UEFI 2.10, section 3.5.1.1), the loader's configuration, and keys to enrol
 * (systemd-boot(7), "Files"). A random seed is never part of it: each machine has its own.
 */
import { type Chunks, concat, displayBytes, utf8 } from "../bytes.ts";
import { inputError, SealError } from "../errors.ts";
import { type EfiArch, efiArchOfMachine, stubStartsKernel } from "../pe/arch.ts";
import { findSection, type PeImage, parsePe, sectionData } from "../pe/headers.ts";
import { ENTRIES_SREL, type LoaderOptions, loaderConf } from "./entries.ts";
import { menuTitle, parseOsRelease } from "./os-release.ts";

export interface BootFile {
  /** Relative to `/boot`. */
  readonly path: string;
  readonly content: Chunks;
}

export interface BootUki {
  readonly pe: PeImage;
  /** Name of the file it came from: what it is called when it does not say its kernel's version (`.uname`). */
  readonly fileName: string;
}

export interface BootInput {
  /** At least one; as they shall be written, signed. */
  readonly ukis: readonly BootUki[];
  /** systemd-boot, signed. */
  readonly bootloader: PeImage;
  /** Comes before the version in the names of the UKIs, as kernel-install(8) does it; null: nothing does. */
  readonly entryToken: string | null;
  /** Signed variable updates by file name, see {@link ENROLL_FILES}; null: no keys are enrolled. */
  readonly enrollKeys: ReadonlyMap<string, Uint8Array> | null;
  readonly loader: LoaderOptions;
}

export interface BootPlan {
  readonly arch: EfiArch;
  /** Sorted by path. */
  readonly files: readonly BootFile[];
  /** What will not work as somebody might expect, one line each. */
  readonly warnings: readonly string[];
}

/** What systemd-boot enrols from one directory below loader/keys; dbx is optional. */
export const ENROLL_FILES = ["PK.auth", "KEK.auth", "db.auth", "dbx.auth"] as const;
/** The directory whose keys `secure-boot-enroll if-safe` and `force` take. */
const ENROLL_DIRECTORY = "loader/keys/auto";

/** IMAGE_SUBSYSTEM_EFI_APPLICATION. */
const EFI_APPLICATION = 10;

/**
 * Decides what goes where.
 * @throws SealError `input` for a file that is no EFI program, no UKI, or of another architecture than the boot loader;
 *   for names that FAT or systemd-boot do not take or that two UKIs share; for missing keys
 */
export function planBoot(input: BootInput): BootPlan {
  const arch = programArch(input.bootloader);
  if (isUki(input.bootloader)) {
    throw inputError(input.bootloader.subject, "is a UKI, not a boot loader. Give it with --uki");
  }
  const files: BootFile[] = [
    { path: `EFI/BOOT/BOOT${arch.toUpperCase()}.EFI`, content: input.bootloader.file },
    { path: `EFI/systemd/systemd-boot${arch}.efi`, content: input.bootloader.file },
    { path: "loader/entries.srel", content: [utf8(ENTRIES_SREL)] },
    { path: "loader/loader.conf", content: [utf8(loaderConf(input.loader))] },
    ...keyFiles(input.enrollKeys),
  ];
  const warnings: string[] = [];
  const names = new Map<string, string>();
  for (const { pe, fileName } of input.ukis) {
    checkUki(pe, arch);
    const name = ukiFileName(pe, fileName, input.entryToken);
    const other = names.get(name.toLowerCase());
    if (other !== undefined) {
      throw inputError(pe.subject, `would become EFI/Linux/${name}, as ${other} would. Give one of them only`);
    }
    names.set(name.toLowerCase(), pe.subject);
    files.push({ path: `EFI/Linux/${name}`, content: pe.file });
    warnings.push(...ukiWarnings(pe, name));
  }
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  return { arch, files, warnings };
}

/** Whether a PE file carries a kernel, which makes it a UKI (UAPI Group Specification "Unified Kernel Image"). */
export function isUki(pe: PeImage): boolean {
  return findSection(pe, ".linux") !== null;
}

/** The kernel version that a UKI says it has (`.uname`); null when it does not. */
export function ukiVersion(pe: PeImage): string | null {
  const section = findSection(pe, ".uname");
  if (section === null) return null;
  return displayBytes(concat(sectionData(pe, section))).replace(/(?:\\x00|\\x0a|\s)+$/, "") || null;
}

function checkUki(pe: PeImage, arch: EfiArch): void {
  const own = programArch(pe);
  if (!isUki(pe)) throw inputError(pe.subject, "is no UKI (it has no .linux section)");
  if (own !== arch) {
    throw inputError(pe.subject, `is for ${own}, the boot loader for ${arch}. Give files of one architecture`);
  }
  const machine = kernelMachine(pe);
  if (machine !== null && !stubStartsKernel(pe.machine, machine)) {
    const kernel = efiArchOfMachine(machine) ?? `machine 0x${machine.toString(16)}`;
    throw inputError(
      pe.subject,
      `has a stub for ${own} and a kernel for ${kernel}. Build it with the stub for ${kernel}`,
    );
  }
}

/** Machine type of the kernel in a UKI; null when the kernel does not tell, being no PE file. */
function kernelMachine(pe: PeImage): number | null {
  const section = findSection(pe, ".linux");
  if (section === null) return null;
  try {
    return parsePe(sectionData(pe, section), pe.subject).machine;
  } catch (error) {
    if (error instanceof SealError) return null;
    throw error;
  }
}

function programArch(pe: PeImage): EfiArch {
  const arch = efiArchOfMachine(pe.machine);
  if (arch === null || pe.subsystem !== EFI_APPLICATION) {
    const machine = `machine 0x${pe.machine.toString(16)}, subsystem ${pe.subsystem}`;
    throw inputError(pe.subject, `is no EFI application of a known architecture (${machine})`);
  }
  return arch;
}

/** systemd-boot takes these characters in names of entries; FAT takes all of them. */
const ENTRY_NAME = /^[A-Za-z0-9._+@-]+$/;
/** Longest name on FAT. */
const NAME_MAX = 255;

function ukiFileName(pe: PeImage, fileName: string, entryToken: string | null): string {
  const version = ukiVersion(pe) ?? fileName.replace(/\.efi$/i, "");
  const name = `${entryToken === null ? "" : `${entryToken}-`}${version}.efi`;
  if (!ENTRY_NAME.test(name) || name.length > NAME_MAX) {
    throw inputError(
      pe.subject,
      `can't be called ${JSON.stringify(name)}: names of entries are up to ${NAME_MAX} letters, digits, ".", "_", "+", "@" and "-"`,
    );
  }
  return name;
}

function ukiWarnings(pe: PeImage, name: string): string[] {
  const warnings: string[] = [];
  // Automatic Boot Assessment: NAME+TRIES-LEFT[-TRIES-DONE].efi
  const counter = /\+\d+(?:-\d+)?\.efi$/.exec(name);
  if (counter !== null) {
    warnings.push(
      `EFI/Linux/${name}: systemd-boot takes "${counter[0].slice(0, -4)}" for a boot counter and renames the file at each start; build the kernel with another local version`,
    );
  }
  const section = findSection(pe, ".osrel");
  const osRelease = section === null ? null : parseOsRelease(concat(sectionData(pe, section)));
  if (osRelease === null || menuTitle(osRelease) === null) {
    warnings.push(
      `${pe.subject}: its .osrel names no system (PRETTY_NAME, NAME or ID); systemd-boot will not show it. Build it with --os-release`,
    );
  }
  return warnings;
}

function keyFiles(keys: BootInput["enrollKeys"]): BootFile[] {
  if (keys === null) return [];
  const missing = ENROLL_FILES.filter((name) => name !== "dbx.auth" && !keys.has(name));
  if (missing.length > 0) {
    throw new SealError(
      "input",
      `--enroll-keys: ${missing.join(" and ")} missing; PK, KEK and db are enrolled together. Make them with seal keys generate`,
    );
  }
  return ENROLL_FILES.flatMap((name) => {
    const bytes = keys.get(name);
    return bytes === undefined ? [] : [{ path: `${ENROLL_DIRECTORY}/${name}`, content: [bytes] }];
  });
}
