/**
 * Takes files out of a directory of a root filesystem so that nothing can get lost and the directory looks as if they had
 * never been touched: copies that are safe on disk first, then the originals go, then the directory gets its times back.
 */
import { constants, rmdirSync, rmSync } from "node:fs";
import { access, copyFile, lstat, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { inputError } from "../errors.ts";
import { makeDirectories } from "./files.ts";
import { setTimes } from "./libc.ts";
import { asInputError, isFile } from "./paths.ts";
import { orUndo } from "./undo.ts";

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
