/**
 * Directories whose files only this user can have written: what is read there counts as if this
 * process had computed it.
 */
import { type Stats, statSync } from "node:fs";
import { mkdir, realpath, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { isSystemError, makeDirectories, reasonOf } from "./files.ts";

const OTHERS_WRITE = 0o022;
const WORLD_WRITES = 0o002;
const STICKY = 0o1000;

/**
 * Creates a directory that only its owner can read, if there is none, and checks whether anyone else could write there.
 * @param path absolute
 * @returns its real path, or why it won't do, in words with the way out
 */
export async function openPrivateDirectory(
  path: string,
): Promise<{ readonly path: string } | { readonly problem: string }> {
  try {
    const stats = await stat(path).catch((error: unknown) => {
      if (isSystemError(error) && error.code === "ENOENT") return null;
      throw error;
    });
    if (stats === null) {
      await makeDirectories(dirname(path), []);
      await mkdir(path, 0o700).catch((error: unknown) => {
        // Another process may be quicker; whose it is, is checked below.
        if (!(isSystemError(error) && error.code === "EEXIST")) throw error;
      });
    }
    const real = await realpath(path);
    const problem = problemOf(await stat(real)) ?? placeProblem(real);
    return problem === null ? { path: real } : { problem };
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return { problem: `can't be used: ${reasonOf(error)}` };
  }
}

/** Whether a file or directory is this user's, and no one else can write to it. */
export function isPrivate({ uid, mode }: Pick<Stats, "uid" | "mode">): boolean {
  return uid === process.geteuid?.() && (mode & OTHERS_WRITE) === 0;
}

function problemOf(stats: Stats): string | null {
  if (!stats.isDirectory()) return "is not a directory; give another path";
  if (stats.uid !== process.geteuid?.()) {
    return `belongs to the user ${stats.uid}, who could change what seal computes; give a directory of your own`;
  }
  if (isPrivate(stats)) return null;
  return `others can write to it and so change what seal computes; make it writable by you alone: chmod go-w`;
}

/**
 * Where everybody may rename what is in a directory above, the one that was looked at need not be the one that is read.
 */
function placeProblem(real: string): string | null {
  for (let place = dirname(real); ; place = dirname(place)) {
    const { mode } = statSync(place);
    if ((mode & WORLD_WRITES) !== 0 && (mode & STICKY) === 0) {
      return `is in ${place}, where everyone can write; give a directory elsewhere`;
    }
    if (place === dirname(place)) return null;
  }
}
