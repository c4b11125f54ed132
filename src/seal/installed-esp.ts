/**
 * What `bootc install` puts onto the EFI system partition of a machine, read from an image: systemd-boot from `/usr` as
 * `bootctl install --root` takes it, the keys from secureboot-keys, and only the UKIs from `/boot`. Source: bootc,
 * `crates/lib/src/bootloader.rs` and `bootc_composefs/boot.rs`; the UKIs keep their names here, which bootc replaces
 * with the digest, and need no boot entry.
 */
import { ADDON_SUFFIX, addonDirectory } from "../boot/addons.ts";
import { EFI_DIRECTORY } from "../boot/bootloader.ts";
import { displayBytes } from "../bytes.ts";
import { inputError } from "../errors.ts";
import type { NewFile } from "../io/new-directory.ts";
import { findPrograms, isRead, type ReadProgram, readProgram } from "../lint/boot-programs.ts";
import { nodeAt } from "../lint/files.ts";
import { installedKeys } from "../lint/install-keys.ts";
import { readInstalledLoader } from "../lint/installed-loaders.ts";
import type { EfiArch } from "../pe/arch.ts";
import { PROGRAM_LIMIT, type Rootfs, readNode } from "../tree/rootfs.ts";

export interface InstalledEsp {
  /** Relative to the partition. */
  readonly files: readonly NewFile[];
  /** systemd-boot in the image. */
  readonly loader: ReadProgram;
  readonly ukis: readonly ReadProgram[];
  /** Paths of the keys in the image. */
  readonly keys: readonly string[];
  /** Addons of the UKIs that are left out, named as for bootc's `--uki-addon`. */
  readonly left: readonly string[];
}

export interface InstallOptions {
  readonly arch: EfiArch;
  /** Names of the addons to install, without the ending; bootc installs none by itself. */
  readonly addons: readonly string[];
  /** Whether the keys are installed. */
  readonly keys: boolean;
}

/** Names that are valid on FAT and don't lead to other directories. */
const SAFE_NAME = /^[^/\\:*?"<>|\0]+$/;
const BOOT = "boot/";
const MODE = 0o644;

/**
 * Reads what goes onto the partition; nothing is written.
 * @throws SealError `input` for what bootc install fails on: no systemd-boot for that architecture, no UKI or a file
 *   that is not one, something other than keys among the keys; for a name that FAT does not allow; for an addon that
 *   does not exist
 */
export async function readInstalledEsp(rootfs: Rootfs, options: InstallOptions): Promise<InstalledEsp> {
  const { subject } = rootfs;
  const ukis = await installedUkis(rootfs);
  const loader = await installedLoader(rootfs, options.arch);
  const addons = ukiAddons(rootfs, ukis);
  for (const name of options.addons) {
    if (addons.some((addon) => addon.name === name)) continue;
    const known = [...new Set(addons.map((addon) => addon.name))].join(", ") || "none";
    throw inputError(subject, `no UKI in it has an addon ${name}${ADDON_SUFFIX} (there are: ${known})`);
  }
  const keys = options.keys ? await readKeys(rootfs) : [];
  const loaderName = `systemd-boot${options.arch}.efi`;
  const file = (name: string, bytes: NewFile["bytes"]): NewFile => ({ name, bytes, mode: MODE });
  const files = [
    file(`EFI/BOOT/BOOT${options.arch.toUpperCase()}.EFI`, loader.pe.file),
    file(`EFI/systemd/${loaderName}`, loader.pe.file),
    ...ukis.map(({ path, pe }) => file(path.slice(BOOT.length), pe.file)),
    ...(await Promise.all(
      addons
        .filter(({ name }) => options.addons.includes(name))
        .map(async ({ place: { path, components, node } }) => {
          if (node.kind !== "regular") throw inputError(subject, `${path}: is a ${node.kind}, not a regular file`);
          return file(path.slice(BOOT.length), await readNode(rootfs, components, node, PROGRAM_LIMIT));
        }),
    )),
    ...keys.map(({ name, bytes }) => file(`loader/keys/${name}`, bytes)),
  ];
  for (const { name } of files) checkFatPath(name, subject);
  const left = addons.map(({ name }) => name).filter((name) => !options.addons.includes(name));
  return { files, loader, ukis, keys: keys.map(({ path }) => path), left: [...new Set(left)] };
}

async function installedLoader(rootfs: Rootfs, arch: EfiArch): Promise<ReadProgram> {
  const { subject } = rootfs;
  const loader = await readInstalledLoader(rootfs, arch);
  if (loader === null) {
    throw inputError(
      subject,
      `has no systemd-boot${arch}.efi in ${EFI_DIRECTORY}, which bootc install puts onto the disk, whatever is in /boot. Install it and sign it (seal prepare) before the image is sealed`,
    );
  }
  if (isRead(loader)) return loader;
  const what = loader.kind === "symlink" ? "is a symlink, which bootctl does not follow" : loader.reason;
  throw inputError(subject, `${loader.path}: ${what}; bootc install takes this boot loader. Install its package again`);
}

async function installedUkis(rootfs: Rootfs): Promise<readonly ReadProgram[]> {
  const { subject } = rootfs;
  const boot = nodeAt(rootfs, "boot");
  if (boot?.kind !== "directory" || boot.entries.length === 0) {
    throw inputError(subject, "is not sealed: its /boot is empty; seal image seals it");
  }
  const ukis: ReadProgram[] = [];
  for (const place of findPrograms(rootfs)) {
    if (place.role !== "uki") continue;
    const program = await readProgram(rootfs, place);
    if (isRead(program) && program.role === "uki") ukis.push(program);
    else {
      const what =
        program.kind === "broken" ? program.reason : program.kind === "symlink" ? "is a symlink" : "is not a UKI";
      throw inputError(
        subject,
        `${program.path}: ${what}: bootc install fails on it; remove it, or seal the image again`,
      );
    }
  }
  if (ukis.length === 0) {
    throw inputError(subject, "is not sealed: it has no UKI in boot/EFI/Linux; seal image makes one");
  }
  return ukis;
}

/** The addons of the UKIs; bootc does not install addons for all UKIs. */
function ukiAddons(rootfs: Rootfs, ukis: readonly ReadProgram[]) {
  const directories = ukis.map(({ path }) => `${addonDirectory(path)}/`);
  return findPrograms(rootfs).flatMap((place) => {
    const isOwn = place.role === "addon" && directories.includes(place.path.slice(0, -place.name.length));
    return isOwn ? [{ name: place.name.slice(0, -ADDON_SUFFIX.length), place }] : [];
  });
}

async function readKeys(rootfs: Rootfs) {
  const { files, obstacles } = installedKeys(rootfs);
  for (const { path, wanted } of obstacles) {
    throw inputError(rootfs.subject, `${path}: is not ${wanted}: bootc install fails on it; remove it`);
  }
  return Promise.all(
    files.map(async ({ name, components, node }) => {
      const path = components.map(displayBytes).join("/");
      return { name, path, bytes: await readNode(rootfs, components, node) };
    }),
  );
}

/** Bytes that are not text appear in a path as a backslash escape, which FAT does not allow either. */
function checkFatPath(path: string, subject: string): void {
  if (path.split("/").every((name) => SAFE_NAME.test(name))) return;
  throw inputError(subject, `${path}: not a valid name on an EFI system partition`);
}
