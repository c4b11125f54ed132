/** Prepares a root filesystem for an image: the files written to it become part of the layers, and of the digest. */
import type { KernelFiles } from "../boot/kernel.ts";
import { withLayer } from "../boot/layered.ts";
import { NOTHING_TAKEN_OUT, refuseSealed, treeLayer } from "../boot/sealed-layers.ts";
import { displayBytes } from "../bytes.ts";
import type { VerityAlgorithm } from "../composefs/series.ts";
import { inputError } from "../errors.ts";
import { nodeAt } from "../lint/files.ts";
import { type FileChanges, NO_FILE_CHANGES, notADirectory } from "../tree/file-changes.ts";
import { PROGRAM_LIMIT, type Rootfs, readTreeFile, resolvePath } from "../tree/rootfs.ts";
import {
  BOOTC_WANTS_DIRECTORY,
  type Preparation,
  type PreparationOptions,
  planPreparation,
  type TreeFiles,
} from "./preparation.ts";

/** A prepared root filesystem, with the preparation. */
export interface PreparedRootfs extends Omit<Preparation, "changes"> {
  /** The root filesystem that was read, with the changes. */
  readonly rootfs: Rootfs;
  readonly changes: FileChanges;
}

/** Warnings about the boot loaders, one line each. */
export function preparationWarnings({ loaders }: Pick<PreparedRootfs, "loaders">): string[] {
  return loaders.flatMap(({ warnings }) => warnings);
}

/** Prepares a root filesystem that was read; a second reading of the same one gets the same files. */
export type PrepareRootfs = (read: Rootfs) => Promise<PreparedRootfs>;

/** Leaves root filesystems as they are. */
export const asRead: PrepareRootfs = async (rootfs) => ({
  rootfs,
  changes: NO_FILE_CHANGES,
  loaders: [],
  keys: [],
});

export interface ImagePreparationOptions extends PreparationOptions {
  readonly algorithm: VerityAlgorithm;
  /** Of new files and directories, in seconds since 1970. */
  readonly mtime: bigint;
}

/**
 * The preparation of a root filesystem that is read once or twice, without signing anything twice.
 * @returns a function that throws as {@link planPreparation}, and SealError `input` where something is
 *   in the way of a file
 */
export function imagePreparation(options: ImagePreparationOptions): PrepareRootfs {
  const { signing, given = [], keys } = options;
  if (signing === null && given.length === 0 && keys === null) return asRead;
  let prepared: Promise<PreparedRootfs> | null = null;
  return (read) => {
    prepared ??= prepareRootfs(read, options);
    return prepared;
  };
}

/** {@link imagePreparation} in both halves of a seal, where someone else has signed. */
export interface HalvesOptions extends Required<Pick<PreparationOptions, "given" | "keys" | "now">> {
  readonly algorithm: VerityAlgorithm;
}

/**
 * The preparation in both halves of a seal. Files have the time 0 there: whether the halves agree must depend only on
 * what they are given.
 */
export function halvesPreparation(options: HalvesOptions): PrepareRootfs {
  return imagePreparation({ ...options, signing: null, mtime: 0n });
}

/**
 * The same for an image that is not sealed yet. @param kernel a given kernel; null: one must be in the tree, which is
 * checked before anything is signed
 */
export function unlessSealed(prepare: PrepareRootfs, kernel: KernelFiles | null): PrepareRootfs {
  return (read) => {
    if (kernel === null) refuseSealed(read);
    return prepare(read);
  };
}

async function prepareRootfs(read: Rootfs, options: ImagePreparationOptions): Promise<PreparedRootfs> {
  const { changes: planned, keys, loaders } = await planPreparation(filesOf(read), options);
  const changes = { ...planned, mtime: options.mtime };
  for (const { path } of changes.write) checkPlace(read, path);
  const rootfs = withLayer(read, treeLayer(read.root, NOTHING_TAKEN_OUT, changes), options.algorithm);
  const { signing, given = [] } = options;
  if (signing !== null) return { rootfs, changes, keys, loaders };
  // Unsigned boot loaders are unchanged, and judged as they are.
  return { rootfs, changes, keys, loaders: loaders.filter(({ pe }) => given.includes(pe)) };
}

function filesOf(rootfs: Rootfs): TreeFiles {
  const { subject } = rootfs;
  return {
    subject,
    read: (path) => readTreeFile(rootfs, path, PROGRAM_LIMIT),
    names: async (path) => {
      const found = resolvePath(rootfs, path);
      if (found === null) return null;
      if (found.node.kind !== "directory") throw inputError(`${subject}: ${path}`, BOOTC_WANTS_DIRECTORY);
      return found.node.entries.map(({ name }) => displayBytes(name));
    },
  };
}

/** Refuses files that a directory would replace. @throws SealError `input` */
function checkPlace({ subject, root }: Rootfs, path: string): void {
  const names = path.split("/").slice(0, -1);
  for (const depth of names.keys()) {
    const place = names.slice(0, depth + 1).join("/");
    const node = nodeAt({ root }, place);
    if (node === null) return;
    if (node.kind === "directory") continue;
    throw inputError(`${subject}: ${place}`, notADirectory({ isSymlink: node.kind === "symlink" }));
  }
}
