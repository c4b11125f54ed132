/**
 * Puts files into a root filesystem in a directory, all of them or none, so that the result is the same in every build.
 */
import { constants, linkSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { access, chmod, lstat, mkdir, open, rm, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Chunks } from "../chunks.ts";
import { inputError, type SealError } from "../errors.ts";
import { type FileChanges, notADirectory } from "../tree/file-changes.ts";
import { isSystemError, writeAll } from "./files.ts";
import { setTimes } from "./libc.ts";
import { asInputError } from "./paths.ts";
import { attempt, orUndo } from "./undo.ts";

const SECOND = 1_000_000_000n;
const READ_ONLY =
  "the filesystem is read-only. A mount shows a stage and can't change it: run seal prepare in the stage that is sealed";

/** A place that has changed. */
interface Swap {
  readonly path: string;
  /** Another name of the file that was there; null: there was none. */
  readonly before: string | null;
}

/**
 * Writes and removes files. Directories that were there keep their times; new ones, of mode 0755, and files, of mode
 * 0644, get the given one. Every file is complete and on disk before the first takes its place, and what was there
 * before is kept until the last has.
 * @param root real path of a directory
 * @throws SealError `input` when something is in the way or can't be written; nothing has changed then
 */
export async function placeFiles(root: string, { write, remove, mtime }: FileChanges): Promise<void> {
  const paths = [...write.map(({ path }) => path), ...remove];
  const touched = new Map<string, { readonly atimeNs: bigint; readonly mtimeNs: bigint }>();
  for (const path of paths) await checkPlace(root, path, touched);
  const made: string[] = [];
  const temporaries: { readonly temporary: string; readonly path: string }[] = [];
  const swaps: Swap[] = [];
  const undo = () => {
    for (const swap of swaps.toReversed()) attempt(() => swapBack(swap));
    for (const { temporary } of temporaries) attempt(() => rmSync(temporary, { force: true }));
    for (const directory of made.toReversed()) attempt(() => rmdirSync(directory));
    restoreTimes(touched);
  };
  const time = { atimeNs: mtime * SECOND, mtimeNs: mtime * SECOND };
  try {
    await orUndo(undo, async () => {
      for (const { path, content } of write) {
        const full = join(root, path);
        await makeParents(dirname(full), made);
        const temporary = nameBeside(full, "partial");
        temporaries.push({ temporary, path: full });
        await rm(temporary, { force: true });
        await writeNew(temporary, content);
        setTimes(Buffer.from(`${temporary}\0`), time);
      }
      // Without a pause, so that no signal comes between a change and the note of it.
      for (const { temporary, path } of temporaries) naming(path, () => replace(temporary, path, swaps));
      for (const path of remove.map((one) => join(root, one))) naming(path, () => takeAway(path, swaps));
    });
    for (const { before } of swaps) if (before !== null) await unlink(before);
  } catch (error) {
    throw changeError(error, root);
  }
  for (const directory of made.toReversed()) setTimes(Buffer.from(`${directory}\0`), time);
  restoreTimes(touched);
}

/** Looks at every directory on the way, and notes the times of those that there are: the last one of them changes. */
async function checkPlace(
  root: string,
  path: string,
  touched: Map<string, { readonly atimeNs: bigint; readonly mtimeNs: bigint }>,
): Promise<void> {
  let place = root;
  for (const name of ["", ...dirname(path).split("/")]) {
    const next = join(place, name);
    const stat = await lstat(next, { bigint: true }).catch((error: unknown) => {
      if (isSystemError(error) && error.code === "ENOENT") return null;
      throw changeError(error, next);
    });
    if (stat === null) break;
    if (!stat.isDirectory()) throw inputError(next, notADirectory({ isSymlink: stat.isSymbolicLink() }));
    place = next;
    touched.set(place, { atimeNs: stat.atimeNs, mtimeNs: stat.mtimeNs });
  }
  await access(place, constants.W_OK).catch((error: unknown) => {
    throw changeError(error, place);
  });
}

/** A name in the same directory for what is not there to stay. */
function nameBeside(path: string, suffix: string): string {
  return join(dirname(path), `.${basename(path)}.${suffix}`);
}

/** Does something to a file, and names that file where the system refuses. */
function naming(path: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    throw changeError(error, path);
  }
}

function replace(temporary: string, path: string, swaps: Swap[]): void {
  const before = nameBeside(path, "before");
  rmSync(before, { force: true });
  try {
    linkSync(path, before);
    swaps.push({ path, before });
  } catch (error) {
    if (!isSystemError(error) || error.code !== "ENOENT") throw error;
    swaps.push({ path, before: null });
  }
  renameSync(temporary, path);
}

function takeAway(path: string, swaps: Swap[]): void {
  const before = nameBeside(path, "before");
  renameSync(path, before);
  swaps.push({ path, before });
}

function swapBack({ path, before }: Swap): void {
  if (before === null) {
    rmSync(path, { force: true });
  } else {
    renameSync(before, path);
    // Two names of one file stay two when one is renamed to the other.
    rmSync(before, { force: true });
  }
}

async function makeParents(directory: string, made: string[]): Promise<void> {
  if (await isThere(directory)) return;
  await makeParents(dirname(directory), made);
  await mkdir(directory);
  made.push(directory);
  // Whatever the umask says.
  await chmod(directory, 0o755);
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => null)) !== null;
}

async function writeNew(path: string, content: Chunks): Promise<void> {
  const handle = await open(path, "wx", 0o644);
  try {
    for (const chunk of content) await writeAll(handle, chunk);
    await handle.chmod(0o644);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function restoreTimes(touched: ReadonlyMap<string, { readonly atimeNs: bigint; readonly mtimeNs: bigint }>): void {
  for (const [directory, times] of touched) setTimes(Buffer.from(`${directory}\0`), times);
}

function changeError(error: unknown, path: string): SealError {
  const isReadOnly = isSystemError(error) && error.code === "EROFS";
  return isReadOnly
    ? inputError(path, `can't be changed: ${READ_ONLY}`, error)
    : asInputError(error, path, "can't be changed");
}
