/** Reads single files of a root filesystem in a directory, without a symlink leading to this machine's files. */
import { realpath } from "node:fs/promises";
import { join, sep } from "node:path";
import { inputError } from "../errors.ts";
import { isSystemError, reasonOf } from "./files.ts";
import { readInput } from "./read-input.ts";

/**
 * @param root an existing directory
 * @param path relative to it
 * @returns null when there is no such file
 * @throws SealError `input` when it can't be read, or is outside the directory
 */
export async function readBelow(root: string, path: string): Promise<Uint8Array | null> {
  const subject = join(root, path);
  try {
    const [realRoot, real] = [await realpath(root), await realpath(subject)];
    if (!real.startsWith(realRoot.endsWith(sep) ? realRoot : `${realRoot}${sep}`)) {
      throw inputError(subject, `is a symlink that points outside ${root}; make it relative`);
    }
    return await readInput(real);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
    throw inputError(subject, `can't be read: ${reasonOf(error)}`, error);
  }
}
