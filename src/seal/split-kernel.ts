/**
 * Moves kernel and initramfs out of a root filesystem, so that they are shipped only once, in the UKI. The layout of
 * the result is that of `bootc container split-kernel-and-rootfs`: `OUTPUT/<kver>/{vmlinuz,initramfs.img}`, since bootc
 * 1.17 with `.vmlinuz.hmac` where there is one.
 */
import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  chooseKernel,
  INITRAMFS_NAME,
  KERNEL_NAME,
  kernelPath,
  MODULES_DIRECTORY,
  missingFile,
} from "../boot/kernel.ts";
import { SealError } from "../errors.ts";
import { isFile, liesIn, listDirectories } from "../io/paths.ts";
import { placeFiles } from "../io/place-files.ts";
import { copyOut } from "../io/split-kernel.ts";
import { NO_FILE_CHANGES } from "../tree/file-changes.ts";

/** The hash of the kernel for FIPS mode; bootc moves it too. */
const HMAC_NAME = ".vmlinuz.hmac";

export interface KernelMove {
  readonly version: string;
  /** Where the files are, or are moved from. */
  readonly from: string;
  readonly to: string;
  /** Empty: they are in `to` already. */
  readonly names: readonly string[];
}

export interface KernelMoveOptions {
  /** Real path of the root filesystem. */
  readonly root: string;
  /** What the user knows it by. */
  readonly subject: string;
  /** Gets `<kver>/vmlinuz`. */
  readonly directory: string;
  /** Null: the only one. */
  readonly version: string | null;
  /** The option that `directory` is of, for messages. */
  readonly option: string;
  /** Whether it is enough that the kernel is in `directory` and no longer in the root filesystem. */
  readonly again: boolean;
  /** Whether `directory` may be in the root filesystem. */
  readonly inside: boolean;
}

/**
 * Plans what to move; nothing is changed yet.
 * @throws SealError `input` when there is no kernel, or no initramfs next to it; `usage` when it would stay
 *   in the root filesystem
 */
export async function planKernelMove(options: KernelMoveOptions): Promise<KernelMove> {
  const { root, subject, directory, version, option, again, inside } = options;
  if (!inside && (await isPartOf(directory, root))) {
    throw new SealError(
      "usage",
      `${option}: ${directory} is inside the root filesystem; give a directory outside of it`,
    );
  }
  const candidates = await kernelsIn(root, MODULES_DIRECTORY);
  if (candidates.length === 0 && again) {
    const moved = await kernelsIn(directory, "");
    if (moved.length > 0) {
      const { version: kver } = chooseKernel(moved, directory, version);
      return { version: kver, from: join(root, MODULES_DIRECTORY, kver), to: join(directory, kver), names: [] };
    }
  }
  const { version: kver } = chooseKernel(candidates, subject, version);
  const from = join(root, MODULES_DIRECTORY, kver);
  for (const name of [KERNEL_NAME, INITRAMFS_NAME] as const) {
    const path = kernelPath(kver, name);
    if (!(await isFile(join(root, path)))) throw missingFile(subject, path);
  }
  const hmac = (await isFile(join(from, HMAC_NAME))) ? [HMAC_NAME] : [];
  return { version: kver, from, to: join(directory, kver), names: [KERNEL_NAME, INITRAMFS_NAME, ...hmac] };
}

/**
 * Moves the files.
 * @param root real path of the root filesystem
 * @param changes other changes to it: either everything is done, or nothing
 * @throws SealError `input`; nothing has changed then
 */
export async function moveKernel(root: string, move: KernelMove, changes = NO_FILE_CHANGES): Promise<void> {
  const { version, from, to, names } = move;
  if (names.length === 0) return placeFiles(root, changes);
  const originals = names.map((name) => join(MODULES_DIRECTORY, version, name));
  await copyOut(from, names, to, () => placeFiles(root, { ...changes, remove: [...changes.remove, ...originals] }));
}

/** Whether a directory, which need not be there yet, is sealed with a root filesystem. */
export async function isPartOf(directory: string, root: string): Promise<boolean> {
  return (await liesIn(directory, root)) && !(await isElsewhere(directory, root));
}

async function kernelsIn(root: string, path: string): Promise<{ version: string }[]> {
  const kernels: { version: string }[] = [];
  for (const version of await listDirectories(root, path)) {
    if (await isFile(join(root, path, version, KERNEL_NAME))) kernels.push({ version });
  }
  return kernels;
}

/** Whether a directory below a root is on another filesystem: what is mounted there is not a part of the tree. */
async function isElsewhere(directory: string, root: string): Promise<boolean> {
  for (let place = directory; ; place = dirname(place)) {
    const found = await stat(place).catch(() => null);
    if (found !== null) return found.dev !== (await stat(root)).dev;
    if (dirname(place) === place) return false;
  }
}
