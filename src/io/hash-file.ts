/**
 * Reads files and computes their fs-verity digests: the part of the hash pool that runs in its workers and in the main
 * thread alike. It imports little, because every worker loads it anew.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { displayBytes } from "../bytes.ts";
import type { VerityAlgorithm } from "../composefs/profile.ts";
import { VERITY_HASHES, VerityHasher, verityDigest } from "../composefs/verity.ts";
import { inputError, type SealError } from "../errors.ts";
import { isSystemError, reasonOf } from "./files.ts";

/** Files to hash, in memory that all threads see. */
export interface Batch {
  readonly algorithm: VerityAlgorithm;
  /** Absolute paths, each with a NUL after it. */
  readonly paths: Uint8Array;
  /** {@link IDENTITY_WORDS} words for each file, see {@link FileIdentity}. */
  readonly identities: Float64Array;
  /** One word; see {@link claim}. */
  readonly claimed: Int32Array;
}

/** Takes a batch for this thread. False: another one has it. */
export function claim(batch: Batch): boolean {
  return Atomics.exchange(batch.claimed, 0, 1) === 0;
}

/**
 * What a file was when its metadata was read: inode number, size, mtime and ctime in milliseconds, number of links, as node's `Stats` have them.
 * They are rounded, the times to a quarter of a microsecond, but who changes a file changes more than that. A file whose identity is
 * another one after its content was read has changed in between; see {@link isRelinked} for the one exception.
 */
export type FileIdentity = Float64Array;
export const IDENTITY_WORDS = 5;

/** The digests of a batch. */
export interface HashedBatch {
  /** One after the other. */
  readonly digests: Uint8Array<ArrayBuffer>;
  /** Which files, counted from 0, got or lost a name meanwhile: their digests need to be confirmed by reading them again. */
  readonly relinked: readonly number[];
}

/** Large files are read in pieces of this size. */
const CHUNK_SIZE = 1 << 20;
let chunk: Uint8Array | null = null;

/** Never a symlink, and without waiting for a writer should a FIFO have taken the place of the file. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Hashes the files of a batch. Gives way (yields) after each piece that it read, with the number of bytes.
 * @throws SealError `input` for a file that can't be read or is not what it was
 */
export function* hashBatch(batch: Batch): Generator<number, HashedBatch> {
  const { algorithm, paths, identities } = batch;
  const { length } = VERITY_HASHES[algorithm];
  const digests = new Uint8Array((identities.length / IDENTITY_WORDS) * length);
  const relinked: number[] = [];
  let start = 0;
  for (let index = 0; index * IDENTITY_WORDS < identities.length; index++) {
    const end = paths.indexOf(0, start);
    const identity = identities.subarray(index * IDENTITY_WORDS, (index + 1) * IDENTITY_WORDS);
    const file = yield* hashFile(paths.subarray(start, end), identity, algorithm);
    digests.set(file.digest, index * length);
    if (file.relinked) relinked.push(index);
    start = end + 1;
  }
  return { digests, relinked };
}

/** The path of a file in a batch, its bytes as latin1. */
export function pathIn({ paths }: Batch, index: number): string {
  let start = 0;
  for (let before = 0; before < index; before++) start = paths.indexOf(0, start) + 1;
  return asBuffer(paths).toString("latin1", start, paths.indexOf(0, start));
}

function* hashFile(
  path: Uint8Array,
  identity: FileIdentity,
  algorithm: VerityAlgorithm,
): Generator<number, { readonly digest: Uint8Array; readonly relinked: boolean }> {
  chunk ??= new Uint8Array(CHUNK_SIZE);
  const descriptor = open(path);
  try {
    let size = read(descriptor, chunk, path);
    if (size < CHUNK_SIZE) {
      const digest = verityDigest(chunk.subarray(0, size), algorithm);
      const relinked = isRelinked(descriptor, size, path, identity);
      yield size;
      return { digest, relinked };
    }
    const hasher = new VerityHasher(algorithm);
    for (let length = size; length > 0; size += length) {
      hasher.update(chunk.subarray(0, length));
      yield length;
      length = read(descriptor, chunk, path);
    }
    const relinked = isRelinked(descriptor, size, path, identity);
    return { digest: hasher.digest(), relinked };
  } finally {
    closeSync(descriptor);
  }
}

/**
 * The content of a file that has `size` bytes, a few.
 * @param path absolute, without NUL
 * @returns null: it got or lost a name meanwhile, and has to be looked at again
 * @throws SealError `input` when it can't be read or is not what it was
 */
export function readSmallFile(path: Uint8Array, identity: FileIdentity, size: number): Uint8Array | null {
  const descriptor = open(path);
  try {
    const content = new Uint8Array(size + 1);
    const length = read(descriptor, content, path);
    return isRelinked(descriptor, length, path, identity) ? null : content.subarray(0, length);
  } finally {
    closeSync(descriptor);
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

function open(path: Uint8Array): number {
  try {
    return openSync(asBuffer(path), OPEN_FLAGS);
  } catch (error) {
    throw readError(path, error);
  }
}

function read(descriptor: number, into: Uint8Array, path: Uint8Array): number {
  try {
    return readSync(descriptor, into, 0, into.length, null);
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
  const { ino, size, mtimeMs, ctimeMs, nlink } = fstatSync(descriptor);
  const [oldIno, oldSize, oldMtimeMs, oldCtimeMs, oldLinks] = identity;
  const isSame = ino === oldIno && size === oldSize && mtimeMs === oldMtimeMs && bytesRead === size;
  if (isSame && ctimeMs === oldCtimeMs) return false;
  if (isSame && nlink !== oldLinks) return true;
  throw changedError(path);
}

function asBuffer(path: Uint8Array): Buffer {
  return Buffer.from(path.buffer, path.byteOffset, path.byteLength);
}
