/**
 * Prepares a root filesystem in a directory, before its digest is computed: writes what {@link planPreparation} returns
 * and removes the kernel. A second run changes nothing.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { EFI_DIRECTORY } from "../boot/bootloader.ts";
import { inputError, SealError } from "../errors.ts";
import { isSystemError, reasonOf } from "../io/files.ts";
import { placeFiles } from "../io/place-files.ts";
import { readBelow } from "../io/read-below.ts";
import { checkSignerEnrolled } from "./enrolled.ts";
import {
  BOOTC_WANTS_DIRECTORY,
  type Preparation,
  type PreparationOptions,
  planPreparation,
  type TreeFiles,
} from "./preparation.ts";
import { type KernelMove, moveKernel, planKernelMove } from "./split-kernel.ts";
import type { Signing } from "./tree.ts";

export interface PrepareOptions extends PreparationOptions {
  /** Names the root filesystem in messages. */
  readonly subject: string;
  /** Where the kernel goes; null: it stays. */
  readonly kernel: { readonly directory: string; readonly version: string | null } | null;
  /** Of new files and directories, in seconds since 1970. */
  readonly mtime: bigint;
}

export interface Prepared extends Omit<Preparation, "changes"> {
  /** One line each. */
  readonly warnings: readonly string[];
  /** Null: it stays where it is. */
  readonly kernel: KernelMove | null;
}

/**
 * Changes a root filesystem in a directory.
 * @param root its real path
 * @throws SealError `input` for what can't be signed, enrolled or written; nothing has changed then
 */
export async function prepareTree(root: string, options: PrepareOptions): Promise<Prepared> {
  const { subject, signing, keys, kernel, mtime } = options;
  if (keys !== null && signing !== null) checkSignerEnrolled(keys, signing);
  const { loaders, keys: placed, changes } = await planPreparation(filesBelow(root, subject), options);
  const missing = loaders.length === 0 ? missingLoader(subject, signing) : [];
  const move =
    kernel === null
      ? null
      : await planKernelMove({ root, subject, ...kernel, option: "--kernel-dir", again: true, inside: false });
  if (move === null) await placeFiles(root, { ...changes, mtime });
  else await moveKernel(root, move, { ...changes, mtime });
  const warnings = [...missing, ...loaders.flatMap((loader) => loader.warnings)];
  return { loaders, keys: placed, kernel: move, warnings };
}

function missingLoader(subject: string, signing: Signing | null): string[] {
  const what = `${subject}: has no systemd-boot in ${EFI_DIRECTORY}`;
  if (signing !== null) {
    throw new SealError(
      "input",
      `${what}. Install it (package systemd-boot-efi, systemd-boot-unsigned or systemd), or leave --key out`,
    );
  }
  return [`${what}: bootc install will find none to put onto the disk`];
}

/** The files of a directory. @param root its real path */
function filesBelow(root: string, subject: string): TreeFiles {
  return {
    subject,
    read: (path) => readBelow(root, path),
    names: async (path) => {
      const full = join(root, path);
      try {
        return (await readdir(full)).sort();
      } catch (error) {
        if (!isSystemError(error)) throw error;
        if (error.code === "ENOENT") return null;
        if (error.code === "ENOTDIR") throw inputError(full, BOOTC_WANTS_DIRECTORY);
        throw inputError(subject, `${full} can't be read: ${reasonOf(error)}`, error);
      }
    },
  };
}
