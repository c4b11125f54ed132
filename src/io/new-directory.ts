/** A directory that appears with all of its files or not at all, and never takes the place of something. */
import { chmod, mkdir, mkdtemp, open, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { inputError, type SealError } from "../errors.ts";
import { isSystemError, reasonOf } from "./files.ts";

export interface NewFile {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Permission bits, whatever the umask says. */
  readonly mode: number;
}

/**
 * Refuses a path where something is already, other than an empty directory.
 * @throws SealError `input`
 */
export async function refuseOccupied(path: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(path);
  } catch (error) {
    if (isSystemError(error) && error.code === "ENOENT") return;
    throw inputError(path, `can't be written: ${reasonOf(error)}`, error);
  }
  if (names.length > 0) throw occupied(path, names);
}

/**
 * Writes a directory under a temporary name beside it, flushed, then renames it.
 * @param mode permission bits of the directory
 * @throws SealError `input` when something is there, or it can't be written; nothing is left behind then
 */
export async function writeNewDirectory(path: string, files: readonly NewFile[], mode: number): Promise<void> {
  await refuseOccupied(path);
  let temporary: string | null = null;
  try {
    await mkdir(dirname(path), { recursive: true });
    temporary = await mkdtemp(join(dirname(path), `.${basename(path)}.partial-`));
    for (const file of files) await writeFile(join(temporary, file.name), file);
    await chmod(temporary, mode);
    // Fails when somebody has put something there in the meantime: rename replaces empty directories only.
    await rename(temporary, path);
  } catch (error) {
    if (temporary !== null) await rm(temporary, { recursive: true, force: true }).catch(() => {});
    throw renameProblem(path, error);
  }
}

async function writeFile(path: string, { bytes, mode }: NewFile): Promise<void> {
  const handle = await open(path, "wx", mode);
  try {
    await handle.writeFile(bytes);
    await handle.chmod(mode);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function renameProblem(path: string, error: unknown): unknown {
  if (!isSystemError(error)) return error;
  if (error.code === "ENOTEMPTY" || error.code === "EEXIST") return occupied(path, []);
  if (error.code === "EBUSY") {
    return inputError(path, "is a mount point, which can't be replaced in one step; give a directory below it", error);
  }
  return inputError(path, `can't be written: ${reasonOf(error)}`, error);
}

function occupied(path: string, names: readonly string[]): SealError {
  const found = names.length === 0 ? "" : ` (${names.slice(0, 3).join(", ")}${names.length > 3 ? ", …" : ""})`;
  return inputError(path, `is not empty${found}. Nothing is overwritten: give a new directory, or move that away`);
}
