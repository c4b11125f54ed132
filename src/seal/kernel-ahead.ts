/** Examines the kernel of a tree on another thread, while this one is busy with digests. */
import {
  chooseKernel,
  findKernels,
  INITRAMFS_NAME,
  KERNEL_NAME,
  type KernelFiles,
  kernelPath,
  kernelSubject,
} from "../boot/kernel.ts";
import { SealError } from "../errors.ts";
import { askThread } from "../io/thread.ts";
import type { FactsOfSetups } from "../lint/root-mount.ts";
import { isWorthAhead, keepDigest } from "../pe/digest.ts";
import { contentSize } from "../tree/node.ts";
import { PROGRAM_LIMIT, type Rootfs, resolvePath } from "../tree/rootfs.ts";
import type { FileToRead, KernelAnswer, KernelQuestion } from "./kernel-worker.ts";

/** The kernel of a tree, and what its initramfs says about how the root is mounted. */
export interface KernelAhead {
  readonly files: KernelFiles;
  readonly facts: FactsOfSetups;
}

/** A smaller initramfs is read and unpacked faster than a thread starts. */
const WORTH_THREAD = 8n << 20n;

/**
 * Starts to read the kernel of a directory and to unpack its initramfs.
 * @returns null if that is not worth a thread, or not possible: it then has to be read when it is needed
 */
export async function kernelAhead(rootfs: Rootfs, version: string | null): Promise<KernelAhead | null> {
  const question = questionAbout(rootfs, version);
  if (question === null) return null;
  // The sources run as they are or built; either form starts its own worker.
  const file = import.meta.url.endsWith(".ts") ? "./kernel-worker.ts" : "./kernel-worker.js";
  const { kernelVersion, ...asked } = question;
  const answer = await askThread<KernelQuestion, KernelAnswer>(new URL(file, import.meta.url), asked);
  if (answer === null) return null;
  const { kernel, initramfs, facts, digests } = answer;
  // As sections of the UKI they are the same parts of the same memory.
  if (isWorthAhead("sha256", [kernel])) keepDigest("sha256", [kernel], digests.kernel);
  if (isWorthAhead("sha256", [initramfs])) keepDigest("sha256", [initramfs], digests.initramfs);
  const subject = kernelSubject(rootfs.subject, kernelVersion);
  return { files: { version: kernelVersion, subject, kernel, initramfs }, facts };
}

function questionAbout(
  rootfs: Rootfs,
  version: string | null,
): (KernelQuestion & { readonly kernelVersion: string }) | null {
  const { directory, subject } = rootfs;
  if (directory === undefined) return null;
  try {
    const { version: kernelVersion } = chooseKernel(findKernels(rootfs), subject, version);
    const kernel = placeOf(rootfs, kernelPath(kernelVersion, KERNEL_NAME));
    const initramfs = placeOf(rootfs, kernelPath(kernelVersion, INITRAMFS_NAME));
    if (kernel === null || initramfs === null || initramfs.size < WORTH_THREAD) return null;
    return { directory, subject, kernel, initramfs, kernelVersion };
  } catch (error) {
    if (error instanceof SealError) return null;
    throw error;
  }
}

function placeOf(rootfs: Rootfs, path: string): FileToRead | null {
  const found = resolvePath(rootfs, path);
  if (found?.node.kind !== "regular" || found.node.content.kind === "inline") return null;
  const size = contentSize(found.node);
  return size > PROGRAM_LIMIT ? null : { components: found.components, size };
}
