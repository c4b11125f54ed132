/**
 * Reads files and computes their fs-verity digests: the part of the hash pool that runs in its workers and in the main
 * thread alike. It imports little, because every worker loads it anew.
 */
import { constants } from "node:fs";
import { displayBytes } from "../bytes.ts";
import { VERITY_HASHES, VerityHasher } from "../composefs/verity.ts";
import { inputError, type SealError } from "../errors.ts";
import { isSystemError, reasonOf } from "./files.ts";
import type { Batch, Piece } from "./hash-batch.ts";
import { closeFile, type FileIdentity, IDENTITY, IDENTITY_WORDS, identify, openAt, readAt, readNext } from "./libc.ts";

/** What was computed of a batch. */
export interface HashedBatch {
  /** The digests of the files, one after the other; of a piece what `VerityHasher.branches` has of it. */
  readonly hashes: Uint8Array<ArrayBuffer>;
  /** Which files, counted from 0, got or lost a name meanwhile: their digests need to be confirmed by reading them again. */
  readonly relinked: readonly number[];
}

/** Longest path that Linux takes, with its NUL. */
const PATH_MAX = 4096;
/** Never a symlink, and without waiting for a writer should a FIFO have taken the place of the file. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** What the functions below work with, none of which gives way. */
const currentPath = new Uint8Array(PATH_MAX);
const currentIdentity: FileIdentity = new Uint32Array(IDENTITY_WORDS);

/**
 * Hashes the files of a batch, or its piece.
 * @throws SealError `input` for a file that can't be read or is not what it was
 */
export function hashBatch(batch: Batch): HashedBatch {
  const { algorithm, paths, identities, piece } = batch;
  if (piece !== null) return hashPiece(batch, piece);
  const { length } = VERITY_HASHES[algorithm];
  const count = identities.length / IDENTITY_WORDS;
  const hashes = new Uint8Array(count * length);
  const relinked: number[] = [];
  for (let index = 0, start = 0; index < count; index++) {
    const end = paths.indexOf(0, start);
    const path = paths.subarray(start, end);
    const identity = identities.subarray(index * IDENTITY_WORDS, (index + 1) * IDENTITY_WORDS);
    const isRelinked = withFile(path, identity, (descriptor) => {
      const hasher = new VerityHasher(algorithm);
      const size = readAll(descriptor, path, sizeIn(identity), hasher);
      hasher.digestInto(hashes, index * length);
      return size;
    });
    if (isRelinked) relinked.push(index);
    start = end + 1;
  }
  return { hashes, relinked };
}

function hashPiece({ algorithm, paths, identities }: Batch, piece: Piece): HashedBatch {
  const path = paths.subarray(0, -1);
  const hasher = new VerityHasher(algorithm);
  const isRelinked = withFile(path, identities, (descriptor) => {
    let size = 0;
    while (size < piece.size) {
      const { space } = hasher;
      const wanted = space.subarray(0, Math.min(space.length, piece.size - size));
      const length = attempt(path, () => readAt(descriptor, wanted, piece.offset + size));
      // It has become shorter.
      if (length === 0) throw changedError(path);
      hasher.advance(length);
      size += length;
    }
    return sizeIn(identities);
  });
  return { hashes: new Uint8Array(hasher.branches()), relinked: isRelinked ? [0] : [] };
}

/** Reads a file to its end, where a hasher takes it from. @returns its size */
function readAll(descriptor: number, path: Uint8Array, expected: number, hasher: VerityHasher): number {
  let size = 0;
  for (;;) {
    const { space } = hasher;
    const length = attempt(path, () => readNext(descriptor, space));
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
  const content = new Uint8Array(size + 1);
  let length = 0;
  const isRelinked = withFile(path, identity, (descriptor) => {
    length = attempt(path, () => readNext(descriptor, content));
    return length;
  });
  return isRelinked ? null : content.subarray(0, length);
}

/**
 * Opens a file while a function reads it.
 * @param use returns how many bytes the file has
 * @returns see {@link isRelinked}
 */
function withFile(path: Uint8Array, identity: FileIdentity, use: (descriptor: number) => number): boolean {
  currentPath.set(path);
  currentPath[path.length] = 0;
  const descriptor = attempt(path, () => openAt(null, currentPath, OPEN_FLAGS));
  try {
    return isRelinked(descriptor, use(descriptor), path, identity);
  } finally {
    closeFile(descriptor);
  }
}

/** The error for a file or directory that a system call failed on while a tree was read. */
export function readError(path: Uint8Array, error: unknown): SealError {
  const subject = displayBytes(path);
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

function attempt<Result>(path: Uint8Array, call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    throw readError(path, error);
  }
}

/**
 * Whether a file got or lost a name while it was read, which sets its ctime: a builder links the files of a stage into other ones, outside of the
 * tree that is read. That alone is no change, but ctime would also have told of others (content with mtime put back, mode, owner, xattrs), so the
 * file has to be read again before its content and metadata are known to be of one moment.
 * @throws SealError `input` for every other difference
 */
function isRelinked(descriptor: number, bytesRead: number, path: Uint8Array, identity: FileIdentity): boolean {
  attempt(path, () => identify(descriptor, currentIdentity));
  for (let word = 0; word < IDENTITY.ctime; word++) {
    if (currentIdentity[word] !== identity[word]) throw changedError(path);
  }
  if (bytesRead !== sizeIn(identity)) throw changedError(path);
  let isSame = true;
  for (let word: number = IDENTITY.ctime; word < IDENTITY.links; word++) {
    if (currentIdentity[word] !== identity[word]) isSame = false;
  }
  if (isSame) return false;
  if (currentIdentity[IDENTITY.links] !== identity[IDENTITY.links]) return true;
  throw changedError(path);
}

function sizeIn(identity: FileIdentity): number {
  return (identity[IDENTITY.size] as number) + (identity[IDENTITY.size + 1] as number) * 2 ** 32;
}
