/**
 * The final `/boot` as plain data: UKIs as entries of type #2 (Boot Loader Specification), systemd-boot under its own
 * name and under the one that firmware tries by itself (UEFI 2.10, section 3.5.1.1), the loader's configuration, and
 * keys to enrol (systemd-boot(7), "Files"). A random seed is never part of it: each machine has its own.
 */
import { utf8 } from "../bytes.ts";
import type { Chunks } from "../chunks.ts";
import { inputError, SealError } from "../errors.ts";
import { type EfiArch, efiArchOfMachine, stubStartsKernel } from "../pe/arch.ts";
import type { PeImage } from "../pe/headers.ts";
import { type BootAddon, planAddons } from "./addons.ts";
import { checkEntryName, isUki, kernelMachine, programArch, ukiOsRelease, ukiVersion } from "./efi-program.ts";
import { ENTRIES_SREL, type LoaderOptions, loaderConf } from "./entries.ts";
import { menuTitle } from "./os-release.ts";

/** A file of `/boot`, not yet written. */
export interface BootFile {
  /** Relative to `/boot`. */
  readonly path: string;
  readonly content: Chunks;
}

/** A UKI that is to be placed in `/boot`. */
export interface BootUki {
  readonly pe: PeImage;
  /** Name of the file it came from: what it is called when it does not say its kernel's version (`.uname`). */
  readonly fileName: string;
  /** The content of `.linux`, if it has been parsed already. */
  readonly kernel?: PeImage | null;
}

/** The inputs of the plan for `/boot`. */
export interface BootInput {
  /** At least one, signed, as they will be written. */
  readonly ukis: readonly BootUki[];
  /** systemd-boot, signed. */
  readonly bootloader: PeImage;
  /** Addons for UKIs, signed; none by default. */
  readonly addons?: readonly BootAddon[];
  /** Comes before the version in the names of the UKIs, as kernel-install(8) does it; null: nothing does. */
  readonly entryToken: string | null;
  /** Signed variable updates by file name, see `ENROLL_FILES`; null: no keys are enrolled. */
  readonly enrollKeys: ReadonlyMap<string, Uint8Array> | null;
  readonly loader: LoaderOptions;
  /**
   * The root filesystem as a composefs dump file, with which bootc shows differences if a digest differs; none by
   * default.
   */
  readonly dump?: Chunks | null;
}

/** The files of `/boot`, and warnings about them. */
export interface BootPlan {
  readonly arch: EfiArch;
  /** Sorted by path. */
  readonly files: readonly BootFile[];
  /** What may not work as expected, one line each. */
  readonly warnings: readonly string[];
}

/** The files that systemd-boot enrols from one directory below loader/keys; dbx is optional. */
const ENROLL_FILES = ["PK.auth", "KEK.auth", "db.auth", "dbx.auth"] as const;
/** The directory whose keys `secure-boot-enroll if-safe` and `force` take. */
const ENROLL_DIRECTORY = "loader/keys/auto";

/**
 * Decides what goes where.
 * @throws SealError `input` for a file that is not an EFI program, not a UKI, or for another architecture than the boot
 *   loader; for names that FAT or systemd-boot do not accept or that two UKIs share; for missing keys; as `planAddons`
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
  const placed: { pe: PeImage; path: string }[] = [];
  const { dump = null } = input;
  for (const { pe, fileName, kernel } of input.ukis) {
    checkUki(pe, kernel?.machine ?? kernelMachine(pe), arch);
    const name = ukiFileName(pe, fileName, input.entryToken);
    const other = names.get(name.toLowerCase());
    if (other !== undefined) {
      throw inputError(pe.subject, `would become EFI/Linux/${name}, as ${other} would. Give one of them only`);
    }
    names.set(name.toLowerCase(), pe.subject);
    placed.push({ pe, path: `EFI/Linux/${name}` });
    // Directly in /boot, where bootc looks for it (crates/lib/src/bootc_composefs/boot.rs, `read_dumpfile_from_fs`).
    if (dump !== null) files.push({ path: name.replace(/\.efi$/, ".dump"), content: dump });
    warnings.push(...ukiWarnings(pe, name));
  }
  const addons = planAddons(input.addons ?? [], placed, arch);
  files.push(...placed.map(({ pe, path }) => ({ path, content: pe.file })), ...addons.files);
  warnings.push(...addons.warnings);
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  return { arch, files, warnings };
}

/** @param machine of the kernel; null: unknown */
function checkUki(pe: PeImage, machine: number | null, arch: EfiArch): void {
  const own = programArch(pe);
  if (!isUki(pe)) throw inputError(pe.subject, "is not a UKI (it has no .linux section)");
  if (own !== arch) {
    throw inputError(pe.subject, `is for ${own}, the boot loader for ${arch}. Give files of one architecture`);
  }
  if (machine !== null && !stubStartsKernel(pe.machine, machine)) {
    const kernel = efiArchOfMachine(machine) ?? `machine 0x${machine.toString(16)}`;
    throw inputError(
      pe.subject,
      `has a stub for ${own} and a kernel for ${kernel}. Build it with the stub for ${kernel}`,
    );
  }
}

function ukiFileName(pe: PeImage, fileName: string, entryToken: string | null): string {
  const version = ukiVersion(pe) ?? fileName.replace(/\.efi$/i, "");
  const name = `${entryToken === null ? "" : `${entryToken}-`}${version}.efi`;
  checkEntryName(name, pe.subject);
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
  const osRelease = ukiOsRelease(pe);
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
