/**
 * Boot entries in an image (Boot Loader Specification, type #1). composefs-rs lists them first, then the UKIs, then the
 * kernels in usr/lib/modules, and bootc uses the first of the list: if that is of type #1, it stops with an error.
 */
import { displayBytes } from "../bytes.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import { nodeAt } from "./files.ts";

const ENTRIES = "boot/loader/entries";
const UKIS = "boot/EFI/Linux";

/** Their paths, readable, in the order of their names. */
export function bootEntries(rootfs: Pick<Rootfs, "root">): readonly string[] {
  return namesIn(rootfs, ENTRIES, ".conf");
}

/**
 * What prevents a UKI that is copied into the /boot of a tree from being used: boot entries, and UKIs that it does not
 * replace and that have other digests.
 * @param written paths below /boot that are written
 */
export function inTheWay(rootfs: Pick<Rootfs, "root">, written: readonly string[]): readonly string[] {
  const replaced = new Set(written.map((path) => `boot/${path}`));
  return [...bootEntries(rootfs), ...namesIn(rootfs, UKIS, ".efi").filter((path) => !replaced.has(path))];
}

function namesIn(rootfs: Pick<Rootfs, "root">, path: string, suffix: string): readonly string[] {
  const directory = nodeAt(rootfs, path);
  if (directory?.kind !== "directory") return [];
  const names = directory.entries.map(({ name }) => displayBytes(name)).filter((name) => name.endsWith(suffix));
  return names.map((name) => `${path}/${name}`);
}
