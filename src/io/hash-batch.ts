/**
 * What the threads of the hash pool pass each other, in memory that all of them see: paths and identities of files, or
 * bytes.
 */
import type { VerityAlgorithm } from "../composefs/series.ts";
import { type FileIdentity, IDENTITY_WORDS } from "./libc.ts";

/** What is hashed by one thread. */
export type Batch = FileBatch | ByteBatch;

/** Files to hash, or a piece of one. */
export interface FileBatch {
  readonly kind: "files";
  readonly algorithm: VerityAlgorithm;
  readonly count: number;
  /**
   * A word that says whether the batch is taken, see {@link claim}; for each file its identity and where its path
   * begins, {@link FILE_WORDS} in all; the paths, absolute, each with a NUL after it.
   */
  readonly memory: SharedArrayBuffer;
  /** Null: files, whole. */
  readonly piece: Piece | null;
}

/** Bytes to hash: a piece of something. The same memory serves one piece after the other. */
export interface ByteBatch {
  readonly kind: "bytes";
  readonly algorithm: VerityAlgorithm;
  /**
   * A word as in {@link FileBatch}; how many bytes there are, and how many of the result; room for the bytes; the
   * result.
   */
  readonly memory: SharedArrayBuffer;
  /** How many bytes there is room for. */
  readonly capacity: number;
}

/** A part of a file: bytes, from an offset on. */
export interface Piece {
  readonly offset: number;
  readonly size: number;
}

/** Words of a file in a batch: its identity, and where its path begins in the memory. */
export const FILE_WORDS = IDENTITY_WORDS + 1;
/** Bytes before the words of the first file. */
const FILES_AT = 4;
/** Bytes before the bytes of a batch, and in which word before them their number is, and that of the result. */
const BYTES_AT = 12;
const SIZE_WORD = 1;
const RESULT_WORD = 2;
/** What the first word of a batch says: anyone may take it, somebody has it, its result is there. */
const FREE = 0;
const TAKEN = 1;
const DONE = 2;
/** Longest path that Linux takes, with its NUL. */
const PATH_MAX = 4096;

/** Takes a batch for this thread. False: another one has it, or had it. */
export function claim({ memory }: Batch): boolean {
  return Atomics.compareExchange(new Int32Array(memory, 0, 1), 0, FREE, TAKEN) === FREE;
}

/** What a batch says of its files: a view of its memory, {@link FILE_WORDS} words a file. */
export function wordsIn({ memory, count }: FileBatch): Uint32Array {
  return new Uint32Array(memory, FILES_AT, FILE_WORDS * count);
}

/** The path of a file in a batch, without NUL. */
export function pathIn(batch: FileBatch, index: number): Uint8Array {
  const start = wordsIn(batch)[FILE_WORDS * index + IDENTITY_WORDS] as number;
  const path = new Uint8Array(batch.memory, start, Math.min(PATH_MAX, batch.memory.byteLength - start));
  return path.slice(0, path.indexOf(0));
}

/**
 * Memory for batches of bytes. It is this thread's until {@link offer} gives it away, and again from when
 * {@link takeResult} has its result.
 * @param capacity how many bytes it has room for
 * @param resultSize how many bytes a result has, at most
 */
export function newByteBatch(algorithm: VerityAlgorithm, capacity: number, resultSize: number): ByteBatch {
  const memory = new SharedArrayBuffer(BYTES_AT + capacity + resultSize);
  headOf({ memory })[0] = TAKEN;
  return { kind: "bytes", algorithm, memory, capacity };
}

function headOf({ memory }: { readonly memory: SharedArrayBuffer }): Int32Array {
  return new Int32Array(memory, 0, BYTES_AT / Int32Array.BYTES_PER_ELEMENT);
}

/** Where the bytes of a batch go: a view of its memory. */
export function spaceIn({ memory, capacity }: ByteBatch): Uint8Array {
  return new Uint8Array(memory, BYTES_AT, capacity);
}

/** Lets any thread take a batch. @param size how many bytes there are */
export function offer(batch: ByteBatch, size: number): void {
  const head = headOf(batch);
  head[SIZE_WORD] = size;
  Atomics.store(head, 0, FREE);
}

/** The bytes of a batch that this thread has taken: a view of its memory. */
export function bytesIn(batch: ByteBatch): Uint8Array {
  return new Uint8Array(batch.memory, BYTES_AT, headOf(batch)[SIZE_WORD]);
}

/** Gives what was computed of a batch to the thread that offered it. */
export function storeResult(batch: ByteBatch, result: Uint8Array): void {
  const head = headOf(batch);
  new Uint8Array(batch.memory, BYTES_AT + batch.capacity).set(result);
  head[RESULT_WORD] = result.length;
  Atomics.store(head, 0, DONE);
}

/** What was computed of a batch. Null: not yet. */
export function takeResult(batch: ByteBatch): Uint8Array | null {
  const head = headOf(batch);
  if (Atomics.compareExchange(head, 0, DONE, TAKEN) !== DONE) return null;
  return new Uint8Array(batch.memory, BYTES_AT + batch.capacity, head[RESULT_WORD]).slice();
}

/** Collects the files of one batch after the other. */
export class BatchWriter {
  /** Bytes of content so far, and files. */
  bytes = 0;
  count = 0;
  readonly #capacity: number;
  readonly #files: Uint32Array;
  readonly #paths: Uint8Array;
  #pathsLength = 0;

  /** @param capacity how many files a batch can have */
  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#files = new Uint32Array(capacity * FILE_WORDS);
    this.#paths = new Uint8Array(capacity * PATH_USUAL + PATH_MAX);
  }

  /** Whether no other file may be added. */
  get isFull(): boolean {
    return this.count === this.#capacity || this.#pathsLength + PATH_MAX > this.#paths.length;
  }

  /**
   * @param path absolute, without NUL, maybe followed by other bytes, up to PATH_MAX in all
   * @param length of the path
   */
  add(path: Uint8Array, length: number, identity: FileIdentity, size: number): void {
    const at = this.count * FILE_WORDS;
    this.#files.set(identity, at);
    this.#files[at + IDENTITY_WORDS] = this.#pathsLength;
    // What follows the path is overwritten by the next one. It costs less to copy than a view of the path alone costs.
    this.#paths.set(path, this.#pathsLength);
    this.#pathsLength += length;
    this.#paths[this.#pathsLength++] = 0;
    this.count++;
    this.bytes += size;
  }

  /** A batch of the files since the last call. @param piece of the only file */
  take(algorithm: VerityAlgorithm, piece: Piece | null = null): FileBatch {
    const { count } = this;
    const pathsAt = FILES_AT + 4 * FILE_WORDS * count;
    const memory = new SharedArrayBuffer(pathsAt + this.#pathsLength);
    const files = new Uint32Array(memory, FILES_AT, FILE_WORDS * count);
    files.set(this.#files.subarray(0, files.length));
    for (let at = IDENTITY_WORDS; at < files.length; at += FILE_WORDS) files[at] = (files[at] as number) + pathsAt;
    new Uint8Array(memory, pathsAt).set(this.#paths.subarray(0, this.#pathsLength));
    this.bytes = 0;
    this.count = 0;
    this.#pathsLength = 0;
    return { kind: "files", algorithm, count, memory, piece };
  }
}
/** Bytes of paths for which there is room, a file. */
const PATH_USUAL = 256;
