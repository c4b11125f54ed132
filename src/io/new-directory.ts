/** A directory that appears with all of its files or not at all, and never takes the place of something. */
import { existsSync, renameSync, rmSync } from "node:fs";
import { chmod, mkdir, open, opendir, readdir, rename, stat } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import type { Chunks } from "../chunks.ts";
import { inputError, type SealError } from "../errors.ts";
import { isBootedFrom } from "./booted-from.ts";
import { inPlaceOf, isSystemError, reasonOf } from "./files.ts";

export interface NewFile {
  /** Relative to the directory; parents come by themselves. */
  readonly name: string;
  readonly bytes: Uint8Array | Chunks;
  /** Permission bits, whatever the umask says. */
  readonly mode: number;
}

/** A file that is made while those before it are written. */
export interface LateFile extends Omit<NewFile, "bytes"> {
  readonly bytes: Promise<Uint8Array>;
}

/**
 * Refuses a path where something is already, other than an empty directory.
 * @param subject what the user knows it by
 * @throws SealError `input`
 */
export async function refuseOccupied(path: string, subject = path): Promise<void> {
  let names: string[];
  try {
    names = await readdir(path);
  } catch (error) {
    if (isSystemError(error) && error.code === "ENOENT") return;
    if (await stat(path).catch(() => null)) throw inputError(subject, "is a file; give a new directory");
    throw inputError(subject, `can't be written: ${reasonOf(error)}`, error);
  }
  if (names.length > 0) throw occupied(subject, names);
}

/**
 * Writes a directory under a temporary name next to it, flushed, then renames it.
 * @param mode permission bits of the directory
 * @throws SealError `input` when something is there, or it can't be written; nothing is left behind then
 */
export async function writeNewDirectory(path: string, files: readonly NewFile[], mode: number): Promise<void> {
  await refuseOccupied(path);
  // Fails if something has been put there in the meantime: rename replaces empty directories only.
  await writeBeside(path, files, { mode, isFlushed: true }, (temporary) => rename(temporary, path));
}

/**
 * As {@link writeNewDirectory}, but takes the place of a directory that holds nothing else than files of these names.
 * The old one stays until the new one is complete. It is flushed where machines boot from, see {@link isBootedFrom},
 * and where it takes the place of another, so that a power failure leaves one of the two. Elsewhere it is what a build
 * makes, which can be made again.
 * @throws SealError `input` also for a directory with any other file: it is not seal's
 */
export async function replaceDirectory(
  path: string,
  files: readonly (NewFile | LateFile)[],
  mode: number,
): Promise<void> {
  const foreign = await foreignFile(path, new Set(files.map((file) => file.name)));
  if (foreign !== null) throw occupied(path, [foreign]);
  const isFlushed = existsSync(path) || (await isBootedFrom(path));
  await writeBeside(path, files, { mode, isFlushed }, async (temporary) => takePlace(temporary, path));
}

/**
 * Puts a directory in the place of another, if there is one. Without a pause, so that no signal finds the place empty.
 */
function takePlace(temporary: string, path: string): void {
  try {
    renameSync(temporary, path);
    return;
  } catch (error) {
    // What rename does not replace: a directory with files, a symlink.
    if (!isSystemError(error) || !["ENOTEMPTY", "EEXIST", "ENOTDIR"].includes(error.code ?? "")) throw error;
  }
  const old = `${temporary}.old`;
  renameSync(path, old);
  try {
    renameSync(temporary, path);
  } catch (error) {
    renameSync(old, path);
    throw error;
  }
  rmSync(old, { recursive: true, force: true });
}

/**
 * Relative path of one file in a directory that is not among these; null when there is none. Looks no
 * further than to the first.
 */
async function foreignFile(path: string, own: ReadonlySet<string>): Promise<string | null> {
  try {
    for await (const entry of await opendir(path, { recursive: true })) {
      const name = relative(path, join(entry.parentPath, entry.name));
      if (!entry.isDirectory() && !own.has(name)) return name;
    }
    return null;
  } catch (error) {
    if (isSystemError(error) && error.code === "ENOENT") return null;
    throw inputError(path, `can't be written: ${reasonOf(error)}`, error);
  }
}

/** Writes the files to a temporary directory next to `path`, which `place` then moves to where it belongs. */
async function writeBeside(
  path: string,
  files: readonly (NewFile | LateFile)[],
  { mode, isFlushed }: { readonly mode: number; readonly isFlushed: boolean },
  place: (temporary: string) => Promise<void>,
): Promise<void> {
  try {
    await inPlaceOf(path, async (temporary) => {
      await mkdir(temporary, { mode: 0o700 });
      for (const file of files) await writeFile(temporary, file, { mode, isFlushed });
      await chmod(temporary, mode);
      await place(temporary);
    });
  } catch (error) {
    throw renameProblem(path, error);
  }
}

async function writeFile(
  directory: string,
  { name, bytes, mode }: NewFile | LateFile,
  whole: { readonly mode: number; readonly isFlushed: boolean },
): Promise<void> {
  const path = join(directory, name);
  await mkdir(dirname(path), { recursive: true, mode: whole.mode });
  const handle = await open(path, "wx", mode);
  try {
    await handle.writeFile(await bytes);
    await handle.chmod(mode);
    if (whole.isFlushed) await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Why something can't be written or moved to its place; other errors as they are. */
export function renameProblem(path: string, error: unknown): unknown {
  if (!isSystemError(error)) return error;
  if (error.code === "ENOTEMPTY" || error.code === "EEXIST") return occupied(path, []);
  if (error.code === "EBUSY" || error.code === "EXDEV") {
    const what = error.code === "EBUSY" ? "is a mount point" : "belongs to a lower layer of an overlay filesystem";
    return inputError(path, `${what}, which can't be replaced in one step; give a directory below it`, error);
  }
  return inputError(path, `can't be written: ${reasonOf(error)}`, error);
}

function occupied(path: string, names: readonly string[]): SealError {
  const found = names.length === 0 ? "" : ` (${names.slice(0, 3).join(", ")}${names.length > 3 ? ", …" : ""})`;
  return inputError(path, `is not empty${found}. Nothing is overwritten: give a new directory, or move that away`);
}
