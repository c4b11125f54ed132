/**
 * Copies files out of a root filesystem so that nothing can get lost when they are taken out of it: the copies are safe
 * on disk first, and go away again when what follows fails.
 */
import { constants, rmdirSync, rmSync } from "node:fs";
import { access, copyFile, lstat, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { inputError } from "../errors.ts";
import { makeDirectories } from "./files.ts";
import { setTimes } from "./libc.ts";
import { asInputError, isFile } from "./paths.ts";
import { attempt, orUndo } from "./undo.ts";

/**
 * Copies files from one directory to a new place, also on another filesystem. They keep their times.
 * @param names of files in `from`, all of them there
 * @param to is made with its parents; must not hold files of these names
 * @param takeOut is called when all copies are safe, and takes the originals away or changes nothing
 * @throws SealError `input`, and what `takeOut` throws; the copies are gone then
 */
export async function copyOut(
  from: string,
  names: readonly string[],
  to: string,
  takeOut: () => Promise<void>,
): Promise<void> {
  await access(from, constants.W_OK).catch((error: unknown) => {
    throw asInputError(error, from, "files can't be moved out");
  });
  const copies: string[] = [];
  const made: string[] = [];
  const undo = () => {
    for (const path of copies) attempt(() => rmSync(path, { force: true }));
    for (const directory of made.toReversed()) attempt(() => rmdirSync(directory));
  };
  try {
    await orUndo(undo, async () => {
      await makeDirectories(to, made);
      for (const name of names) {
        if (await isFile(join(to, name))) {
          throw inputError(join(to, name), "already exists. Remove it, or give another directory");
        }
      }
      for (const name of names) {
        copies.push(join(to, `${name}.partial`), join(to, name));
        await copySafely(join(from, name), join(to, name));
      }
      await flushDirectory(to);
      await takeOut();
    });
  } catch (error) {
    throw asInputError(error, to, "can't be written");
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
