/**
 * Where the kernel of a root filesystem is: `usr/lib/modules/<version>/vmlinuz` with `initramfs.img` next to it, where
 * bootc and ostree look. The name of the directory is the kernel's version.
 */
import { displayBytes, utf8 } from "../bytes.ts";
import { inputError, SealError } from "../errors.ts";
import { lookup } from "../tree/node.ts";
import { PROGRAM_LIMIT, type Rootfs, readTreeFile, resolvePath } from "../tree/rootfs.ts";

export const MODULES_DIRECTORY = "usr/lib/modules";
export const KERNEL_NAME = "vmlinuz";
export const INITRAMFS_NAME = "initramfs.img";

/** Readable paths of those files, of whatever version. */
export const KERNEL_FILE = /^usr\/lib\/modules\/[^/]+\/(?:vmlinuz|initramfs\.img)$/;

/** A kernel as listed in the modules directory. */
export interface TreeKernel {
  /** Name of its directory: what `uname -r` will say. */
  readonly version: string;
  /** Whether `initramfs.img` is next to it. */
  readonly initramfs: boolean;
}

/** Path in the tree of a file of a kernel. */
export function kernelPath(version: string, name: typeof KERNEL_NAME | typeof INITRAMFS_NAME): string {
  return `${MODULES_DIRECTORY}/${version}/${name}`;
}

/**
 * All kernels of a tree, sorted by the bytes of their names. Directories without vmlinuz (modules only) and
 * symlinks do not count.
 * @throws SealError `input` for a path through a symlink that the tree does not allow
 */
export function findKernels(rootfs: Rootfs): TreeKernel[] {
  const modules = resolvePath(rootfs, MODULES_DIRECTORY)?.node;
  if (modules?.kind !== "directory") return [];
  const kernels: TreeKernel[] = [];
  for (const { name, node } of modules.entries) {
    if (node.kind !== "directory" || lookup(node, utf8(KERNEL_NAME)) === undefined) continue;
    kernels.push({ version: displayBytes(name), initramfs: lookup(node, utf8(INITRAMFS_NAME)) !== undefined });
  }
  return kernels;
}

/**
 * The one kernel, or the one of that version.
 * @param subject what the user knows the root filesystem by
 * @throws SealError `input` when there is none, several to choose from, or none of that version
 */
export function chooseKernel<Kernel extends { readonly version: string }>(
  kernels: readonly Kernel[],
  subject: string,
  version: string | null,
): Kernel {
  const names = kernels.map((kernel) => kernel.version).join(", ");
  const [first] = kernels;
  if (first === undefined) {
    throw new SealError(
      "input",
      `${subject} has no kernel (${MODULES_DIRECTORY}/*/${KERNEL_NAME}). Install one there, or give the directory that split-kernel made with --kernel-dir`,
    );
  }
  if (version !== null) {
    const chosen = kernels.find((kernel) => kernel.version === version);
    if (chosen !== undefined) return chosen;
    throw new SealError("input", `${subject} has no kernel ${version}, only ${names}. Choose one of these with --kver`);
  }
  if (kernels.length === 1) return first;
  const count = ["two", "three", "four", "five"][kernels.length - 2] ?? String(kernels.length);
  const others = kernels.length === 2 ? "the other" : "the others";
  throw new SealError(
    "input",
    `${subject} has ${count} kernels (${names}). Choose one with --kver, or remove ${others}.`,
  );
}

/** Kernel and initramfs, read. */
export interface KernelFiles {
  readonly version: string;
  /** What messages call the kernel. */
  readonly subject: string;
  readonly kernel: Uint8Array;
  readonly initramfs: Uint8Array;
}

/**
 * Reads the kernel of a tree with its initramfs.
 * @throws SealError `input` as `chooseKernel`, for a kernel without initramfs.img and for one whose
 *   directory's name is not UTF-8
 */
export async function readKernel(rootfs: Rootfs, version: string | null): Promise<KernelFiles> {
  const chosen = chooseKernel(findKernels(rootfs), rootfs.subject, version);
  const directory = `${MODULES_DIRECTORY}/${chosen.version}`;
  if (resolvePath(rootfs, directory) === null) {
    // Its bytes differ from the text that is shown.
    const reason = "the name of a kernel's directory must be UTF-8; rename it to the kernel version";
    throw inputError(rootfs.subject, `${directory}: ${reason}`);
  }
  const read = async (name: typeof KERNEL_NAME | typeof INITRAMFS_NAME) => {
    const path = kernelPath(chosen.version, name);
    const bytes = await readTreeFile(rootfs, path, PROGRAM_LIMIT);
    if (bytes === null) throw missingFile(rootfs.subject, path);
    return bytes;
  };
  const [kernel, initramfs] = [await read(KERNEL_NAME), await read(INITRAMFS_NAME)];
  return { version: chosen.version, subject: kernelSubject(rootfs.subject, chosen.version), kernel, initramfs };
}

/** What messages call the kernel of a tree. @param subject of the tree */
export function kernelSubject(subject: string, version: string): string {
  return `${subject}: ${kernelPath(version, KERNEL_NAME)}`;
}

/** Reports that there is no such file next to the kernel. */
export function missingFile(subject: string, path: string): SealError {
  const advice = path.endsWith(INITRAMFS_NAME)
    ? "Make it in the image (dracut, mkinitcpio, update-initramfs)"
    : "Give it";
  return inputError(subject, `${path} is missing. ${advice}`);
}
