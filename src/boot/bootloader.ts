/** systemd-boot as a root filesystem brings it along. */
import type { EfiArch } from "../pe/arch.ts";
import { type PeImage, parsePe } from "../pe/headers.ts";
import { PROGRAM_LIMIT, type Rootfs, readTreeFile } from "../tree/rootfs.ts";

/** Where systemd installs its EFI programs, relative to the root. */
export const EFI_DIRECTORY = "usr/lib/systemd/boot/efi";

/** Where systemd-boot may lie, best first: a file `.signed` goes before the plain one, as with bootctl(1). */
export function bootloaderPaths(arch: EfiArch): readonly string[] {
  const path = `${EFI_DIRECTORY}/systemd-boot${arch}.efi`;
  return [`${path}.signed`, path];
}

/**
 * The systemd-boot of a tree; null when it has none for that architecture.
 * @throws SealError `input` when it can't be read or is no PE file
 */
export async function treeBootloader(rootfs: Rootfs, arch: EfiArch): Promise<PeImage | null> {
  for (const path of bootloaderPaths(arch)) {
    const bytes = await readTreeFile(rootfs, path, PROGRAM_LIMIT);
    if (bytes !== null) return parsePe([bytes], `${rootfs.label}: ${path}`);
  }
  return null;
}
