/** Makes a disk of a sealed image for `boot-test --from`: what an installer would make, with the image's own /boot and a composefs repository. */
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cmdlinesOf } from "../../boot/addons.ts";
import { treeBootloader } from "../../boot/bootloader.ts";
import { findComposefsDigests } from "../../boot/cmdline.ts";
import { utf8 } from "../../bytes.ts";
import type { VerityAlgorithm } from "../../composefs/profile.ts";
import { inputError } from "../../errors.ts";
import { singleLayout } from "../../io/oci/export-layout.ts";
import { openRootfs } from "../../io/rootfs.ts";
import type { ImageSource } from "../../io/rootfs-source.ts";
import { writeTreeFiles } from "../../io/tree-files.ts";
import { makeRepository, makeState } from "../../io/vm/composefs-repository.ts";
import { type DiskTools, makeDisk } from "../../io/vm/disk.ts";
import { type EspTools, makeEsp } from "../../io/vm/esp.ts";
import { MACHINE_TYPES, type MachineArch } from "../../io/vm/machine-types.ts";
import { findPrograms, isRead, readProgram } from "../../lint/boot-programs.ts";
import { lookup } from "../../tree/node.ts";
import type { Rootfs } from "../../tree/rootfs.ts";
import type { Context } from "../context.ts";
import type { BootTestReport } from "./schema.ts";

/** Programs that make a disk, besides those for its EFI system partition. */
export const DISK_PROGRAMS = {
  cfsctl: "cfsctl",
  sfdisk: "sfdisk",
  "mkfs.ext4": "mkfs.ext4",
  debugfs: "debugfs",
} as const;

/** Where in the directory that it is given {@link makeImageDisk} puts the image's `/boot`. */
export const IMAGE_BOOT = "boot";

export interface ImageDiskOptions {
  /** The image. */
  readonly from: ImageSource;
  /** The disk image to write. */
  readonly disk: string;
  /** An empty directory for what is needed meanwhile. */
  readonly directory: string;
  /** Leave `loader/keys` out. */
  readonly withoutKeys: boolean;
  readonly arch: MachineArch;
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

/**
 * @returns which digests its UKIs demand, and which the repository has
 * @throws SealError `input` for an image that is not sealed or can't be read; `external` when a tool fails
 */
export async function makeImageDisk(
  context: Context,
  options: ImageDiskOptions,
): Promise<NonNullable<BootTestReport["image"]>> {
  const { from, directory, tools, arch } = options;
  const { env, cwd } = context.host;
  const opening = { cwd, remote: context.remote, platform: PLATFORMS[arch] };
  const place = async (name: string) => {
    const path = join(directory, name);
    await mkdir(path);
    return path;
  };
  const step = context.ui.step(`reading ${from.label}`);
  const { rootfs } = await openRootfs(from, { algorithm: null, xattrs: [], ...opening });
  const boot = await place(IMAGE_BOOT);
  await writeBoot(rootfs, boot, arch);
  const demanded = await demandedDigests(rootfs, from.label);
  step.done();

  const repository = context.ui.step("composefs repository");
  const algorithm: VerityAlgorithm = demanded.some((digest) => digest.length === 128) ? "sha512" : "sha256";
  const root = await place("root");
  const image = await singleLayout(from, join(directory, "layout"), opening);
  const stored = await makeRepository({
    ...{ cfsctl: tools.cfsctl, image, algorithm, directory: root, env },
    wanted: demanded,
  });
  await makeState(root, demanded);
  repository.done();

  const disk = context.ui.step("disk image");
  const esp = join(directory, "esp.img");
  await makeEsp({ boot, image: esp, withoutKeys: options.withoutKeys, tools, env });
  const rootType = ROOT_TYPES[arch];
  await makeDisk({ esp, root, algorithm, rootType, image: options.disk, scratch: directory, tools, env });
  disk.done();
  return { demanded, stored };
}

/** The image's /boot, and where that has no boot loader for firmware to start, the image's own, as an installer puts it there. */
async function writeBoot(rootfs: Rootfs, target: string, arch: MachineArch): Promise<void> {
  const boot = lookup(rootfs.root, Buffer.from("boot"));
  const count = boot?.kind === "directory" ? await writeTreeFiles(rootfs, boot, [utf8("boot")], target) : 0;
  if (boot?.kind !== "directory" || count === 0) {
    throw inputError(rootfs.label, "is not sealed: its /boot is empty; seal image makes a sealed one of it");
  }
  const { loader: name } = MACHINE_TYPES[arch];
  const isThere = (await readdir(target, { recursive: true })).some((path) => path.toUpperCase() === name);
  if (isThere) return;
  const loader = await treeBootloader(rootfs, arch);
  if (loader === null) {
    throw inputError(rootfs.label, `has no boot/${name}, and no systemd-boot in usr/lib/systemd/boot/efi to put there`);
  }
  await mkdir(join(target, "EFI/BOOT"), { recursive: true });
  await writeFile(join(target, name), loader.file);
}

/** The composefs digests on the command lines of all UKIs, each once. */
async function demandedDigests(rootfs: Rootfs, label: string): Promise<readonly string[]> {
  const digests = new Set<string>();
  let ukis = 0;
  for (const place of findPrograms(rootfs)) {
    if (place.role !== "uki") continue;
    const program = await readProgram(rootfs, place);
    if (!isRead(program) || program.role !== "uki") continue;
    ukis++;
    for (const cmdline of cmdlinesOf(program.pe)) {
      for (const { digest } of findComposefsDigests(cmdline).digests) digests.add(digest);
    }
  }
  if (ukis === 0) throw inputError(label, "is not sealed: it has no UKI in boot/EFI/Linux; seal image makes one");
  return [...digests];
}
