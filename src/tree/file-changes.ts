/** Files that are put into a root filesystem, on a disk or in memory, so that the result is the same in every build. */
import type { Chunks } from "../chunks.ts";

/** A file as it shall be: of mode 0644, root's. */
export interface PlacedFile {
  /** Relative to the root. */
  readonly path: string;
  readonly content: Chunks;
}

/** What becomes of files of a root filesystem. */
export interface FileChanges {
  readonly write: readonly PlacedFile[];
  /** Files that go away. */
  readonly remove: readonly string[];
  /** Of new files and new directories, in seconds since 1970. Directories that were there keep theirs. */
  readonly mtime: bigint;
}

/** Leaves a root filesystem as it is. */
export const NO_FILE_CHANGES: FileChanges = { write: [], remove: [], mtime: 0n };

/** Said of what is in the way of a file that goes into a directory. */
export function notADirectory({ isSymlink }: { readonly isSymlink: boolean }): string {
  return `is a ${isSymlink ? "symlink" : "file"}; a directory is needed here`;
}
