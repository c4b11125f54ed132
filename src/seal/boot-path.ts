/** Finds what firmware starts on the way to a kernel, for a given UKI or for those of a `/boot`. */
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { ADDON_SUFFIX, addonDirectory, addonFits, addonProblem, GLOBAL_ADDONS } from "../boot/addons.ts";
import { isUki } from "../boot/efi-program.ts";
import { inputError } from "../errors.ts";
import { isSystemError, reasonOf } from "../io/files.ts";
import { efiArchOfMachine } from "../pe/arch.ts";
import type { PePass } from "../pe/pe-pass.ts";
import type { BootPath } from "../sign/boot-reference.ts";
import type { Ports } from "./ports.ts";
import { readPeFile } from "./read-pe-file.ts";

/** Where systemd-boot looks for UKIs. */
const UKIS = "EFI/Linux";
/** systemd-boot skips others. */
const MENU_NAME = /^(?!\.|auto-).*\.efi$/i;
/**
 * Files that the stub packs into archives for the initramfs and measures into PCR 12 (systemd-stub(7), "Companion
 * files").
 */
const CREDENTIAL = ".cred";
const EXTENSION = ".confext.raw";

/**
 * The boot path of a UKI that is started by a boot loader, or by firmware.
 * @throws SealError `input` when it is not a UKI
 */
export async function fileBootPath(
  uki: string,
  bootLoader: string | null,
  { cwd }: Pick<Ports, "cwd">,
): Promise<BootPath> {
  const read = (path: string) => readPeFile(resolve(cwd, path), path);
  const image = await read(uki);
  checkUki(image);
  const loader = bootLoader === null ? null : await read(bootLoader);
  return { bootLoader: loader, uki: image, addons: [], taken: [], sidecars: [] };
}

/** A `/boot`: paths are relative to it. */
export interface BootFiles {
  /** What messages call it. */
  readonly subject: string;
  /** The names in a directory; null when there is none. */
  readonly list: (directory: string) => Promise<readonly string[] | null>;
  readonly read: (path: string) => Promise<PePass>;
}

/**
 * The boot paths of a `/boot` on the disk, see `bootPaths`.
 * @param given `/boot`, or a directory with one in it
 * @throws SealError `input` as `bootPaths`
 */
export async function treeBootPaths(given: string, { cwd }: Pick<Ports, "cwd">): Promise<BootPath[]> {
  const base = resolve(cwd, given);
  const boot = (await listDirectory(join(base, "EFI"))) === null ? join(base, "boot") : base;
  return bootPaths({
    subject: given,
    list: (directory) => listDirectory(join(boot, directory)),
    read: (path) => readPeFile(join(boot, path), path),
  });
}

/**
 * The boot paths of a `/boot`, one for each UKI, in the order of their names. If firmware starts a UKI itself, it is
 * the only one.
 * @throws SealError `input` when there is no UKI, or no boot loader for it
 */
export async function bootPaths(boot: BootFiles): Promise<BootPath[]> {
  const names = (await boot.list(UKIS))?.filter((name) => MENU_NAME.test(name)).toSorted() ?? [];
  const loaders = new Map<string, PePass>();
  for (const name of (await boot.list("EFI/BOOT")) ?? []) {
    const match = /^BOOT(\w+)\.EFI$/i.exec(name);
    if (match?.[1] !== undefined) loaders.set(match[1].toLowerCase(), await boot.read(`EFI/BOOT/${name}`));
  }
  const direct = [...loaders.values()].filter(({ pe }) => isUki(pe));
  if (direct.length > 0) {
    return Promise.all(direct.map(async (uki) => withCompanions(boot, null, uki)));
  }
  const paths: BootPath[] = [];
  for (const name of names) {
    const uki = await boot.read(`${UKIS}/${name}`);
    // systemd-boot does not list what is not a UKI.
    if (!isUki(uki.pe)) continue;
    const arch = efiArchOfMachine(uki.pe.machine) ?? "";
    const bootLoader = loaders.get(arch);
    if (bootLoader === undefined) throw inputError(boot.subject, `has no EFI/BOOT/BOOT${arch.toUpperCase()}.EFI`);
    paths.push(await withCompanions(boot, bootLoader, uki));
  }
  if (paths.length === 0) {
    throw inputError(boot.subject, `has no UKI in ${UKIS}; seal rootfs and seal boot-layout write one`);
  }
  return paths;
}

function checkUki({ pe }: PePass): void {
  if (!isUki(pe))
    throw inputError(pe.subject, "has no .linux section, so it is not a UKI. PCR 11 is predicted for UKIs only");
}

/** A boot path with what the stub finds next to the UKI. */
async function withCompanions(boot: BootFiles, bootLoader: PePass | null, uki: PePass): Promise<BootPath> {
  const own = addonDirectory(uki.pe.subject);
  const addons = await addonsOf(boot, [GLOBAL_ADDONS, own]);
  const taken = addons.flatMap(({ pe }) => (addonProblem(pe) === null && addonFits(pe, uki.pe) ? [pe] : []));
  const sidecars: string[] = [];
  for (const [directory, suffix] of [
    [own, CREDENTIAL],
    ["loader/credentials", CREDENTIAL],
    [own, EXTENSION],
    ["loader/extensions", EXTENSION],
  ] as const) {
    const names = (await boot.list(directory)) ?? [];
    sidecars.push(...names.filter((name) => isCompanion(name, suffix)).map((name) => `${directory}/${name}`));
  }
  return { bootLoader, uki, addons, taken, sidecars };
}

/** The addons that the stub loads, directory by directory, each in the order of the names. */
async function addonsOf(boot: BootFiles, directories: readonly string[]): Promise<PePass[]> {
  const addons: PePass[] = [];
  for (const directory of directories) {
    const names = (await boot.list(directory)) ?? [];
    for (const name of names.filter((one) => isCompanion(one, ADDON_SUFFIX)).toSorted()) {
      addons.push(await boot.read(`${directory}/${name}`));
    }
  }
  return addons;
}

/** The stub skips names with a leading dot, or that are not ASCII. */
function isCompanion(name: string, suffix: string): boolean {
  return name.toLowerCase().endsWith(suffix) && /^(?!\.)[\x20-\x7e]+$/.test(name);
}

/**
 * The names of files; null when there is no such directory. Anything else is skipped, as by systemd-boot and the stub.
 */
async function listDirectory(path: string): Promise<string[] | null> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isFile() || entry.isSymbolicLink()).map(({ name }) => name);
  } catch (error) {
    if (isSystemError(error) && (error.code === "ENOENT" || error.code === "ENOTDIR")) return null;
    throw inputError(path, `can't be read: ${reasonOf(error)}`, error);
  }
}
