/** Examines the kernel of a tree on another thread, while this one is busy with digests. */
import {
  chooseKernel,
  findKernels,
  INITRAMFS_NAME,
  KERNEL_NAME,
  type KernelFiles,
  kernelPath,
  kernelSubject,
  readKernel,
} from "../boot/kernel.ts";
import { SealError } from "../errors.ts";
import { askThread } from "../io/thread.ts";
import type { FactsOfSetups } from "../lint/root-mount.ts";
import { isWorthAhead, keepDigest } from "../pe/digest.ts";
import { contentSize, type RegularFile } from "../tree/node.ts";
import { PROGRAM_LIMIT, type Resolved, type Rootfs, resolvePath } from "../tree/rootfs.ts";
import type { FileToRead, KernelAnswer, KernelQuestion } from "./kernel-worker.ts";

/** The kernel of a tree, and what its initramfs says about how the root is mounted. */
export interface KernelAhead {
  readonly files: KernelFiles;
  readonly facts: FactsOfSetups;
}

/** A smaller initramfs is read and unpacked faster than a thread starts. */
const WORTH_THREAD = 8n << 20n;

/**
 * Starts to unpack the initramfs of a tree: of a directory another thread reads it, with the kernel; of layers it gets
 * what was kept.
 * @returns null if that is not worth a thread, or not possible: it then has to be read when it is needed
 */
export async function kernelAhead(rootfs: Rootfs, version: string | null): Promise<KernelAhead | null> {
  return orNull(async () => {
    const { version: kernelVersion } = chooseKernel(findKernels(rootfs), rootfs.subject, version);
    const question = questionAbout(rootfs, kernelVersion);
    if (question === null) return null;
    // The sources run as they are or built; either form starts its own worker.
    const file = import.meta.url.endsWith(".ts") ? "./kernel-worker.ts" : "./kernel-worker.js";
    const answer = await askThread<KernelQuestion, KernelAnswer>(new URL(file, import.meta.url), question);
    if (answer === null) return null;
    const { read, facts, digests } = answer;
    const files =
      read === null
        ? await readKernel(rootfs, kernelVersion)
        : { version: kernelVersion, subject: kernelSubject(rootfs.subject, kernelVersion), ...read };
    // As sections of the UKI they are the same parts of the same memory.
    noteDigest(files.initramfs, digests.initramfs);
    if (digests.kernel !== null) noteDigest(files.kernel, digests.kernel);
    return { files, facts };
  });
}

/** What can't be read is read again where it is needed, and reported there. */
async function orNull<Result>(work: () => Promise<Result | null>): Promise<Result | null> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof SealError) return null;
    throw error;
  }
}

function noteDigest(content: Uint8Array, digest: Uint8Array): void {
  if (isWorthAhead("sha256", [content])) keepDigest("sha256", [content], digest);
}

function questionAbout(rootfs: Rootfs, version: string): KernelQuestion | null {
  const { directory, subject } = rootfs;
  const initramfs = findFile(rootfs, kernelPath(version, INITRAMFS_NAME));
  if (initramfs === null || contentSize(initramfs.node) < WORTH_THREAD) return null;
  if (directory === undefined) {
    const kept = rootfs.keptContent?.(initramfs.node) ?? null;
    // Other memory would be copied.
    const isShared = kept !== null && kept.buffer instanceof SharedArrayBuffer;
    return isShared ? { kind: "memory", subject, initramfs: kept } : null;
  }
  const kernel = findFile(rootfs, kernelPath(version, KERNEL_NAME));
  if (kernel === null) return null;
  return { kind: "directory", subject, directory, kernel: placeOf(kernel), initramfs: placeOf(initramfs) };
}

interface FoundFile extends Resolved {
  readonly node: RegularFile;
}

function findFile(rootfs: Rootfs, path: string): FoundFile | null {
  const found = resolvePath(rootfs, path);
  if (found?.node.kind !== "regular" || found.node.content.kind === "inline") return null;
  const { components, node } = found;
  return contentSize(node) > PROGRAM_LIMIT ? null : { components, node };
}

function placeOf({ components, node }: FoundFile): FileToRead {
  return { components, size: contentSize(node) };
}
