/**
 * Reads files and computes their fs-verity digests: the part of the hash pool that runs in its workers and in the main
 * thread alike. It imports little, because every worker loads it anew.
 */
import { constants } from "node:fs";
import { displayBytes } from "../bytes.ts";
import { VERITY_HASHES, VerityHasher } from "../composefs/verity.ts";
import { inputError, type SealError } from "../errors.ts";
import { isSystemError, reasonOf } from "./files.ts";
import {
  type ByteBatch,
  bytesIn,
  FILE_WORDS,
  type FileBatch,
  type Piece,
  pathIn,
  storeResult,
  wordsIn,
} from "./hash-batch.ts";
import {
  addressOf,
  closeFile,
  compareIdentity,
  type FileIdentity,
  IDENTITY_WORDS,
  openPath,
  readAt,
  readNext,
  sizeIn,
} from "./libc.ts";

/** What was computed of a batch of files. */
export interface HashedBatch {
  /** The digests of the files, one after the other; of a piece what `VerityHasher.branches` has of it. */
  readonly hashes: Uint8Array<ArrayBuffer>;
  /**
   * Which files, counted from 0, got or lost a name meanwhile: their digests need to be confirmed
   * by reading them again.
   */
  readonly relinked: readonly number[];
}

/** Longest path that Linux takes, with its NUL. */
const PATH_MAX = 4096;
/** Never a symlink, and without waiting for a writer should a FIFO have taken the place of the file. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** What the functions below work with, none of which gives way. */
const currentPath = new Uint8Array(PATH_MAX);
const currentAddress = addressOf(currentPath);

/** Hashes the bytes of a batch that this thread has taken; its result is what `VerityHasher.branches` has of them. */
export function hashBytes(batch: ByteBatch): void {
  const hasher = new VerityHasher(batch.algorithm);
  hasher.update(bytesIn(batch));
  storeResult(batch, hasher.branches());
}

/**
 * Hashes the files of a batch, or its piece.
 * @throws SealError `input` for a file that can't be read or is not what it was
 */
export function hashBatch(batch: FileBatch): HashedBatch {
  const { algorithm, count, memory, piece } = batch;
  const base = addressOf(new Uint8Array(memory));
  if (piece !== null) return hashPiece(batch, piece, base);
  const { length } = VERITY_HASHES[algorithm];
  const hashes = new Uint8Array(count * length);
  const relinked: number[] = [];
  const words = wordsIn(batch);
  const hasher = new VerityHasher(algorithm);
  for (let index = 0; index < count; index++) {
    try {
      const at = FILE_WORDS * index;
      const descriptor = openPath(base + (words[at + IDENTITY_WORDS] as number), OPEN_FLAGS);
      try {
        const read = readAll(descriptor, sizeIn(words, at), hasher);
        if (isRelinked(descriptor, read, words, at)) relinked.push(index);
      } finally {
        closeFile(descriptor);
      }
      hasher.nextDigestInto(hashes, index * length);
    } catch (error) {
      throw readError(pathIn(batch, index), error);
    }
  }
  hasher.end();
  return { hashes, relinked };
}

/** @param base address of the batch's memory */
function hashPiece(batch: FileBatch, { offset, size }: Piece, base: number): HashedBatch {
  try {
    const hasher = new VerityHasher(batch.algorithm);
    const words = wordsIn(batch);
    const descriptor = openPath(base + (words[IDENTITY_WORDS] as number), OPEN_FLAGS);
    try {
      for (let done = 0; done < size; ) {
        const { space } = hasher;
        const length = readAt(descriptor, space.subarray(0, Math.min(space.length, size - done)), offset + done);
        // It has become shorter.
        if (length === 0) throw new FileChanged();
        hasher.advance(length);
        done += length;
      }
      const relinked = isRelinked(descriptor, sizeIn(words, 0), words, 0) ? [0] : [];
      return { hashes: new Uint8Array(hasher.branches()), relinked };
    } finally {
      closeFile(descriptor);
    }
  } catch (error) {
    throw readError(pathIn(batch, 0), error);
  }
}

/** Reads a file to its end, where a hasher takes it from. @returns its size */
function readAll(descriptor: number, expected: number, hasher: VerityHasher): number {
  let size = 0;
  for (;;) {
    const { space } = hasher;
    const length = readNext(descriptor, space);
    hasher.advance(length);
    size += length;
    // A read that fills its memory may not have been the last one.
    if (length === 0 || (length < space.length && size >= expected)) return size;
  }
}

/**
 * The content of a file that has `size` bytes, a few.
 * @param path absolute, without NUL
 * @returns null: it got or lost a name meanwhile, and has to be looked at again
 * @throws SealError `input` when it can't be read or is not what it was
 */
export function readSmallFile(path: Uint8Array, identity: FileIdentity, size: number): Uint8Array | null {
  try {
    currentPath.set(path);
    currentPath[path.length] = 0;
    const content = new Uint8Array(size + 1);
    const descriptor = openPath(currentAddress, OPEN_FLAGS);
    try {
      const length = readNext(descriptor, content);
      return isRelinked(descriptor, length, identity, 0) ? null : content.subarray(0, length);
    } finally {
      closeFile(descriptor);
    }
  } catch (error) {
    throw readError(path, error);
  }
}

/** Thrown where the path of the file is not at hand: {@link readError} makes it an error for people. */
class FileChanged extends Error {}

/** The error for a file or directory that a system call failed on while a tree was read. */
export function readError(path: Uint8Array, error: unknown): SealError {
  const subject = displayBytes(path);
  if (error instanceof FileChanged) return changedError(path);
  if (!isSystemError(error)) throw error;
  switch (error.code) {
    case "EACCES":
    case "EPERM":
      return inputError(subject, `can't be read: ${reasonOf(error)}; run seal as root`, error);
    case "ENOENT":
    case "ENOTDIR":
    case "ELOOP":
    case "ENXIO":
    case "ENODATA":
      return changedError(path, error);
    default:
      return inputError(subject, `can't be read: ${reasonOf(error)}`, error);
  }
}

/** The error for what was not the same at the end as at the beginning. */
export function changedError(path: Uint8Array, cause?: unknown): SealError {
  const reason = "changed while it was read; make sure that nothing writes to the root filesystem and run again";
  return inputError(displayBytes(path), reason, cause);
}

/**
 * Whether a file got or lost a name while it was read: a builder links the files of a stage into other ones,
 * outside of the tree that is read. That alone is not a change, but its new ctime also reveals others (content with
 * mtime put back, mode, owner, xattrs), so the file has to be read again before its content and metadata are known
 * to be of one moment.
 * @param at where the identity begins in the words
 * @throws FileChanged for every other difference
 */
function isRelinked(descriptor: number, bytesRead: number, words: FileIdentity, at: number): boolean {
  const compared = bytesRead === sizeIn(words, at) ? compareIdentity(descriptor, words, at) : "changed";
  if (compared === "changed") throw new FileChanged();
  return compared === "relinked";
}
