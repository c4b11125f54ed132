/**
 * Makes a disk of a sealed image for `boot-test --from`: what bootc would put onto the EFI system partition, and a
 * composefs repository.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { cmdlinesOf } from "../../boot/addons.ts";
import { findComposefsDigests } from "../../boot/cmdline.ts";
import { AUTO_KEYS } from "../../boot/esp-sources.ts";
import type { VerityAlgorithm } from "../../composefs/series.ts";
import { inputError } from "../../errors.ts";
import { writeNewDirectory } from "../../io/new-directory.ts";
import { singleLayout } from "../../io/oci/export-layout.ts";
import { openRootfs } from "../../io/rootfs.ts";
import type { ImageSource } from "../../io/rootfs-source.ts";
import { makeRepository, makeState } from "../../io/vm/composefs-repository.ts";
import { type DiskTools, makeDisk } from "../../io/vm/disk.ts";
import { type EspTools, makeEsp } from "../../io/vm/esp.ts";
import type { MachineArch } from "../../io/vm/machine-types.ts";
import type { ReadProgram } from "../../lint/boot-programs.ts";
import { type InstalledEsp, readInstalledEsp } from "../../seal/installed-esp.ts";
import type { Context } from "../context.ts";
import type { RegistryOptions } from "../options/registry.ts";
import type { SecureBootMode } from "./firmware.ts";
import type { BootTestReport } from "./schema.ts";

/** Programs that make a disk, besides those for its EFI system partition. */
export const DISK_PROGRAMS = {
  cfsctl: "cfsctl",
  sfdisk: "sfdisk",
  "mkfs.ext4": "mkfs.ext4",
  debugfs: "debugfs",
} as const;

/** Where in the directory that it is given {@link makeImageDisk} puts what the EFI system partition has. */
export const IMAGE_BOOT = "boot";

export interface ImageDiskOptions {
  /** The image. */
  readonly from: ImageSource;
  /** The disk image to write. */
  readonly disk: string;
  /** An empty directory for what is needed meanwhile. */
  readonly directory: string;
  /** With `off` the keys of the image are left out. */
  readonly mode: SecureBootMode;
  /** Names of the addons to install. */
  readonly addons: readonly string[];
  readonly arch: MachineArch;
  /** How it is fetched from a registry. */
  readonly access: RegistryOptions;
  /** Absolute paths. */
  readonly tools: EspTools & DiskTools & { readonly cfsctl: string };
}

/** Which image of an index is meant. */
const PLATFORMS: Readonly<Record<MachineArch, string>> = { x64: "linux/amd64", aa64: "linux/arm64" };
/** Type of the root partition by architecture (UAPI Discoverable Partitions Specification). */
const ROOT_TYPES: Readonly<Record<MachineArch, string>> = {
  x64: "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
  aa64: "B921B045-1DF0-41C3-AF44-4C6F280D3FAE",
};

export interface ImageDisk {
  /** systemd-boot of the image. */
  readonly loader: ReadProgram;
  readonly image: NonNullable<BootTestReport["image"]>;
}

/**
 * Writes the disk.
 * @throws SealError `input` for an image that is not sealed, that bootc would not install or that can't be read;
 *   `external` when a tool fails
 */
export async function makeImageDisk(context: Context, options: ImageDiskOptions): Promise<ImageDisk> {
  const { from, directory, tools, arch, mode, addons, access } = options;
  const { env, cwd } = context.process;
  const opening = { cwd, remote: context.remote(access), platform: PLATFORMS[arch] };
  const step = context.ui.step(`reading ${from.subject}`);
  const { rootfs } = await openRootfs(from, { algorithm: null, xattrs: [], ...opening });
  const installed = await readInstalledEsp(rootfs, { arch, addons, keys: mode !== "off" });
  if (mode === "setup") checkKeys(installed, from.subject);
  const boot = join(directory, IMAGE_BOOT);
  await writeNewDirectory(boot, installed.files, 0o755);
  const { loader, keys, left } = installed;
  const demanded = demandedDigests(installed);
  step.done();
  for (const name of left) {
    context.ui.note(`the addon ${name} is not installed, as with bootc install without --uki-addon ${name}`);
  }

  const repository = context.ui.step("composefs repository");
  const algorithm: VerityAlgorithm = demanded.some((digest) => digest.length === 128) ? "sha512" : "sha256";
  const root = join(directory, "root");
  await mkdir(root);
  const image = await singleLayout(from, join(directory, "layout"), opening);
  const stored = await makeRepository({
    ...{ cfsctl: tools.cfsctl, image, algorithm, directory: root, env },
    wanted: demanded,
  });
  await makeState(root, demanded);
  repository.done();

  const disk = context.ui.step("disk image");
  const esp = join(directory, "esp.img");
  await makeEsp({ boot, image: esp, withoutKeys: false, tools, env });
  const rootType = ROOT_TYPES[arch];
  await makeDisk({ esp, root, algorithm, rootType, image: options.disk, scratch: directory, tools, env });
  disk.done();
  return { loader, image: { demanded, stored, loader: loader.path, keys } };
}

/** systemd-boot enrols what is called so by itself, and nothing else. */
function checkKeys({ keys }: InstalledEsp, subject: string): void {
  if (keys.includes(`${AUTO_KEYS}/PK.auth`)) return;
  throw inputError(
    subject,
    `has no keys to enrol in ${AUTO_KEYS}; bootc install takes them from there, not from /boot. Add them before sealing (seal prepare --enroll-keys DIR), or enrol keys with --enroll or --cert`,
  );
}

/** The composefs digests on the command lines of all UKIs, each once. */
function demandedDigests({ ukis }: InstalledEsp): readonly string[] {
  const cmdlines = ukis.flatMap(({ pe }) => cmdlinesOf(pe));
  return [...new Set(cmdlines.flatMap((cmdline) => findComposefsDigests(cmdline).digests.map(({ digest }) => digest)))];
}
