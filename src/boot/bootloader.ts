/** The systemd-boot of a root filesystem. */
import type { EfiArch } from "../pe/arch.ts";
import { type PeImage, parsePe } from "../pe/headers.ts";
import { PROGRAM_LIMIT, type Rootfs, readTreeFile } from "../tree/rootfs.ts";

/** Where systemd installs its EFI programs, relative to the root. */
export const EFI_DIRECTORY = "usr/lib/systemd/boot/efi";

/** Where systemd-boot may be, best first: a `.signed` file is preferred to the plain one, as by bootctl(1). */
export function bootloaderPaths(arch: EfiArch): readonly string[] {
  const path = `${EFI_DIRECTORY}/systemd-boot${arch}.efi`;
  return [`${path}.signed`, path];
}

/**
 * Cache of those that were read, by tree and path: the one put into /boot and the one checked in /usr are the same
 * file, read and parsed once.
 */
const loaders = new WeakMap<Rootfs, Map<string, Promise<PeImage | null>>>();

/**
 * A systemd-boot of a tree; null when there is none at that path.
 * @param path one of {@link bootloaderPaths}
 * @throws SealError `input` when it can't be read or is not a PE file; messages name the tree and its path
 */
export function readLoader(rootfs: Rootfs, path: string): Promise<PeImage | null> {
  const known = loaders.get(rootfs) ?? new Map<string, Promise<PeImage | null>>();
  loaders.set(rootfs, known);
  const loader = known.get(path) ?? parseLoader(rootfs, path);
  known.set(path, loader);
  return loader;
}

async function parseLoader(rootfs: Rootfs, path: string): Promise<PeImage | null> {
  const bytes = await readTreeFile(rootfs, path, PROGRAM_LIMIT);
  return bytes === null ? null : parsePe([bytes], `${rootfs.subject}: ${path}`);
}

/**
 * The systemd-boot of a tree; null when it has none for that architecture.
 * @throws SealError `input` as `readLoader`
 */
export async function treeBootloader(rootfs: Rootfs, arch: EfiArch): Promise<PeImage | null> {
  for (const path of bootloaderPaths(arch)) {
    const loader = await readLoader(rootfs, path);
    if (loader !== null) return loader;
  }
  return null;
}
