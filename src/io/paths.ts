/** What is at a path, and where a path leads. */
import { statSync } from "node:fs";
import { lstat, readdir, realpath } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { compareBytes, displayBytes, equalBytes, utf8 } from "../bytes.ts";
import { inputError, SealError } from "../errors.ts";
import { reasonOf } from "./files.ts";

/**
 * Names, all of them UTF-8, of the directories in a directory below a root, sorted by bytes; none when it does not
 * exist. Symlinks on the way are refused: an absolute one would lead to the files of this machine.
 * @throws SealError `input`
 */
export async function listDirectories(root: string, path: string): Promise<string[]> {
  let place = root;
  try {
    for (const name of path.split("/")) {
      place = join(place, name);
      const stat = await lstat(place);
      if (stat.isDirectory()) continue;
      throw inputError(place, `is a ${stat.isSymbolicLink() ? "symlink" : "file"}; a directory is needed here`);
    }
    const entries = await readdir(place, { withFileTypes: true, encoding: "buffer" });
    const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
    return names.sort(compareBytes).map((name) => {
      const text = name.toString();
      if (!equalBytes(utf8(text), name))
        throw inputError(join(place, displayBytes(name)), "this name is not UTF-8; rename it");
      return text;
    });
  } catch (error) {
    if (isMissing(error)) return [];
    throw asInputError(error, place, "can't be read");
  }
}

/** Whether there is a regular file; a symlink or anything else in its place is an error. */
export async function isFile(path: string): Promise<boolean> {
  try {
    if ((await lstat(path)).isFile()) return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw asInputError(error, path, "can't be read");
  }
  throw inputError(path, "is not a regular file");
}

/** The real path of an existing directory. @throws SealError `input` */
export async function realDirectory(path: string): Promise<string> {
  try {
    const real = await realpath(path);
    if ((await lstat(real)).isDirectory()) return real;
  } catch (error) {
    throw asInputError(error, path, "can't be read");
  }
  throw inputError(path, "is not a directory");
}

/**
 * Whether a path, which need not be there yet, is a directory or below it, whatever symlinks lead there.
 * @throws SealError `input`
 */
export async function liesIn(path: string, directory: string): Promise<boolean> {
  return `${await realPath(path)}${sep}`.startsWith(`${await realPath(directory)}${sep}`);
}

/** A path with the symlinks of that part of it that exists resolved. */
async function realPath(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (!isMissing(error) || dirname(path) === path) throw asInputError(error, path, "can't be reached");
    return join(await realPath(dirname(path)), basename(path));
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

/** What a call of the system failed with, unless it is said already. */
export function asInputError(error: unknown, path: string, what: string): SealError {
  return error instanceof SealError ? error : inputError(path, `${what}: ${reasonOf(error)}`, error);
}

/** Whether a directory is there, or a symlink to one. What can't be looked at is none: reading it says why. */
export function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
