/**
 * Boot entries that an image brings (Boot Loader Specification, type #1). composefs-rs lists them before the UKIs and those before the kernels in
 * usr/lib/modules, and bootc goes by the first of the list: of one of type #1 it says that it has found some, and installs nothing.
 */
import { displayBytes } from "../bytes.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import { nodeAt } from "./files.ts";

const ENTRIES = "boot/loader/entries";

/** Their paths, readable, in the order of their names. */
export function bootEntries(rootfs: Pick<Rootfs, "root">): readonly string[] {
  const directory = nodeAt(rootfs, ENTRIES);
  if (directory?.kind !== "directory") return [];
  const names = directory.entries.map(({ name }) => displayBytes(name)).filter((name) => name.endsWith(".conf"));
  return names.map((name) => `${ENTRIES}/${name}`);
}
