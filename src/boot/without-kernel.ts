/** The tree of a sealed image: kernel and initramfs are in the UKI, no longer next to the modules. */
import { equalBytes, utf8 } from "../bytes.ts";
import { type Directory, lookup } from "../tree/node.ts";
import { withEntries } from "../tree/rebuild.ts";
import { type Rootfs, resolvePath } from "../tree/rootfs.ts";
import { INITRAMFS_NAME, KERNEL_NAME, MODULES_DIRECTORY } from "./kernel.ts";

/** A path, one name each. */
export type Components = readonly Uint8Array[];

/**
 * The files that a sealed image does not need: `vmlinuz` of all kernels, and `initramfs.img` next to it.
 * @throws SealError `input` for a path through a symlink that the tree does not allow
 */
export function rawKernelFiles(rootfs: Rootfs): Components[] {
  const modules = resolvePath(rootfs, MODULES_DIRECTORY);
  if (modules?.node.kind !== "directory") return [];
  return modules.node.entries.flatMap(({ name, node }) => {
    if (node.kind !== "directory" || lookup(node, utf8(KERNEL_NAME)) === undefined) return [];
    return [INITRAMFS_NAME, KERNEL_NAME]
      .map(utf8)
      .filter((file) => lookup(node, file) !== undefined)
      .map((file) => [...modules.components, name, file]);
  });
}

/**
 * A root filesystem without its {@link rawKernelFiles}. The directories that they were in keep their
 * metadata, times too.
 * @throws SealError `input` as {@link rawKernelFiles}
 */
export function withoutRawKernels(rootfs: Rootfs): Rootfs {
  return { ...rootfs, root: rawKernelFiles(rootfs).reduce(without, rootfs.root) };
}

function without(directory: Directory, [name, ...rest]: Components): Directory {
  if (name === undefined) return directory;
  const entries = directory.entries.flatMap((entry) => {
    if (!equalBytes(entry.name, name)) return [entry];
    if (rest.length === 0 || entry.node.kind !== "directory") return [];
    return [{ name, node: without(entry.node, rest) }];
  });
  return withEntries(directory, entries);
}
