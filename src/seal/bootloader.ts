/** Finds the boot loader of a sealed system. */
import { bootloaderPaths, treeBootloader } from "../boot/bootloader.ts";
import { inputError, SealError } from "../errors.ts";
import { readBelow } from "../io/read-below.ts";
import type { EfiArch } from "../pe/arch.ts";
import { type PeImage, parsePe } from "../pe/headers.ts";
import type { Rootfs } from "../tree/rootfs.ts";

/**
 * systemd-boot for an architecture, from the first directory that has one.
 * @param roots directories of root filesystems; `/` is this machine
 * @throws SealError `input` when none has one
 */
export async function findBootloader(roots: readonly string[], arch: EfiArch): Promise<PeImage> {
  for (const root of roots) {
    for (const path of bootloaderPaths(arch)) {
      const bytes = await readBelow(root, path);
      if (bytes !== null) return parsePe([bytes], root === "/" ? `/${path}` : `${root}/${path}`);
    }
  }
  throw inputError(
    roots.map((root) => (root === "/" ? "this machine" : root)).join(", "),
    `has no ${bootloaderPaths(arch).at(-1)}. Install systemd-boot (package systemd-boot-efi, systemd-boot-unsigned or systemd), or give it with --bootloader`,
  );
}

/**
 * The boot loader for a root filesystem: the given one, else its own systemd-boot, else that of this machine.
 * @param given null: none
 * @throws SealError `input` when there is none
 */
export async function chooseBootloader(given: PeImage | null, rootfs: Rootfs, arch: EfiArch): Promise<PeImage> {
  if (given !== null) return given;
  const own = await treeBootloader(rootfs, arch);
  if (own !== null) return own;
  try {
    return await findBootloader(["/"], arch);
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    const message = `${rootfs.subject} ${error.message.replace(/^this machine: /, "and this machine: ")}`;
    throw new SealError("input", message, { cause: error });
  }
}
