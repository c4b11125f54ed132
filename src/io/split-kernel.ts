/**
 * Takes files out of a directory of a root filesystem so that nothing can get lost and the directory looks as if they had
 * never been touched: copies that are safe on disk first, then the originals go, then the directory gets its times back.
 */
import { constants, rmdirSync, rmSync } from "node:fs";
import { access, copyFile, lstat, open, readdir, realpath, rename, rm } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { compareBytes, displayBytes, equalBytes, utf8 } from "../bytes.ts";
import { inputError, SealError } from "../errors.ts";
import { makeDirectories, reasonOf } from "./files.ts";
import { setTimes } from "./libc.ts";
import { orUndo } from "./undo.ts";

/**
 * Names, all of them UTF-8, of the directories in a directory below a root, sorted by bytes; none when it does not exist. Symlinks on the way are
 * refused: an absolute one would lead to the files of this machine.
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

/** Whether a regular file lies there; a symlink or anything else in its place is an error. */
export async function isFile(path: string): Promise<boolean> {
  try {
    if ((await lstat(path)).isFile()) return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw asInputError(error, path, "can't be read");
  }
  throw inputError(path, "is no regular file");
}

/**
 * Moves files from one directory to a new place, also on another filesystem. The files keep their times, the source directory keeps its own.
 * @param names of files in `from`, all of them there
 * @param to is made with its parents; must not hold files of these names
 * @throws SealError `input`; whatever happens, each file is whole in one of the two places
 */
export async function moveFiles(from: string, names: readonly string[], to: string): Promise<void> {
  await access(from, constants.W_OK).catch((error: unknown) => {
    throw asInputError(error, from, "files can't be taken out");
  });
  const copies: string[] = [];
  const made: string[] = [];
  const undo = () => {
    for (const path of copies) rmSync(path, { force: true });
    for (const directory of made.toReversed()) rmdirSync(directory);
  };
  try {
    await orUndo(undo, async () => {
      await makeDirectories(to, made);
      for (const name of names) {
        if (await isFile(join(to, name))) {
          throw inputError(join(to, name), "exists already. Remove it, or give another --output");
        }
      }
      for (const name of names) {
        copies.push(join(to, `${name}.partial`), join(to, name));
        await copySafely(join(from, name), join(to, name));
      }
      await flushDirectory(to);
    });
  } catch (error) {
    throw asInputError(error, to, "can't be written");
  }
  await removeOriginals(from, names, to);
}

/** From here on the copies stay, whatever happens. */
async function removeOriginals(from: string, names: readonly string[], to: string): Promise<void> {
  try {
    const before = await lstat(from, { bigint: true });
    for (const name of names) await rm(join(from, name));
    setTimes(Buffer.from(`${from}\0`), before);
  } catch (error) {
    throw asInputError(error, from, `files can't be taken out (copies of all are in ${to})`);
  }
}

/** Copies a file under another name, flushes it, gives it the times of the original and its name. */
async function copySafely(from: string, to: string): Promise<void> {
  const partial = `${to}.partial`;
  const { atimeNs, mtimeNs } = await lstat(from, { bigint: true });
  await rm(partial, { force: true });
  await copyFile(from, partial, constants.COPYFILE_EXCL);
  const handle = await open(partial, "r+");
  try {
    await handle.chmod(0o644);
    setTimes(Buffer.from(`${partial}\0`), { atimeNs, mtimeNs });
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(partial, to);
}

async function flushDirectory(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The real path of an existing directory. @throws SealError `input` */
export async function realDirectory(path: string): Promise<string> {
  try {
    const real = await realpath(path);
    if ((await lstat(real)).isDirectory()) return real;
  } catch (error) {
    throw asInputError(error, path, "can't be read");
  }
  throw inputError(path, "is no directory");
}

/** Whether a path, which need not be there yet, is a directory or lies below it, whatever symlinks lead there. @throws SealError `input` */
export async function liesIn(path: string, directory: string): Promise<boolean> {
  return `${await realPath(path)}${sep}`.startsWith(`${await realPath(directory)}${sep}`);
}

/** A path with the symlinks of that part of it that exists resolved. */
async function realPath(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (!isMissing(error) || dirname(path) === path) throw asInputError(error, path, "can't be read");
    return join(await realPath(dirname(path)), basename(path));
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

function asInputError(error: unknown, path: string, what: string): SealError {
  return error instanceof SealError ? error : inputError(path, `${what}: ${reasonOf(error)}`, error);
}
