/**
 * Computes the fs-verity digests of many files on all cores: worker threads, and the main thread as soon as it has
 * nothing else to do. Files travel in batches of paths; contents never leave the thread that reads them, so memory does
 * not grow with their size.
 *
 * Every worker gets every batch, and who claims it first hashes it. So no thread ever waits for another: the workers go
 * on while the main thread walks or transforms the tree, and the main thread takes what they have not begun.
 */
import type { Worker } from "node:worker_threads";
import type { ImageHasher } from "../composefs/digest.ts";
import type { VerityAlgorithm } from "../composefs/series.ts";
import { VERITY_HASHES, VerityHasher } from "../composefs/verity.ts";
import { SealError } from "../errors.ts";
import type { DigestSlab } from "../tree/node.ts";
import { PooledContent } from "../tree/pooled-content.ts";
import { giveWay } from "./give-way.ts";
import { BatchWriter, claim, type FileBatch, pathIn } from "./hash-batch.ts";
import { type HashedBatch, hashBatch } from "./hash-file.ts";
import type { HashAnswer, HashQuestion } from "./hash-worker.ts";
import type { FileIdentity } from "./libc.ts";
import { useLibcrypto } from "./libcrypto.ts";
import { PieceHasher, Pieces } from "./pieces.ts";
import { startThread } from "./thread.ts";

/** A batch is full with so many bytes of content or so many files: some milliseconds of work. */
const BATCH_BYTES = 1 << 20;
const BATCH_FILES = 128;
/**
 * Files of more than two pieces of this size are hashed by all threads together. A multiple of what a hash in level 1
 * of a Merkle tree is of.
 */
const PIECE_BYTES = 8 << 20;
/** What opening and closing a file costs, as bytes that are hashed in that time. */
const FILE_COST = 12 << 10;
/**
 * Starting a thread costs as much as hashing so many bytes: with less than that the main thread is done
 * before another one is up.
 */
const WORTH_THREADS = 24 << 20;
/** From so much work on the rest is estimated. */
const ESTIMATED_FROM = 1 << 20;
/** The main thread looks at the answers of the workers each time it has hashed so much. */
const TURN_BYTES = 4 << 20;
/** Sizes below are kept once. */
const SIZES_KEPT = 1 << 14;
/** Digests are slices of buffers of this many. */
const SLAB_DIGESTS = 1024;

interface PendingBatch {
  readonly batch: FileBatch;
  readonly bytes: number;
  readonly store: (hashed: HashedBatch) => void;
}

/** A file that got or lost a name while it was hashed. */
export interface RelinkedFile {
  /** Absolute. */
  readonly path: Uint8Array;
  /** What {@link HashPool.add} returned has these bytes. */
  readonly digest: Uint8Array;
}

export class HashPool {
  readonly #algorithm: VerityAlgorithm;
  readonly #hashLength: number;
  readonly #onProgress: (bytes: number) => void;
  readonly #threads: number;
  readonly #workers: Worker[] = [];
  readonly #ended: Promise<void>[] = [];
  /** Batches that are not done, by their number. */
  readonly #pending = new Map<number, PendingBatch>();
  #relinked: RelinkedFile[] = [];
  #batches = 0;
  /** All work so far, in bytes. */
  #work = 0;
  /** The batch of small files that is being filled. */
  readonly #open = new BatchWriter(BATCH_FILES);
  /** Memory for digests, with room for those of a batch from where those of the open one begin. */
  #slab: DigestSlab;
  #slabUsed = 0;
  readonly #sizes: (bigint | undefined)[] = new Array(SIZES_KEPT);
  /** For one file. */
  readonly #single = new BatchWriter(1);
  #failure: unknown = null;
  /** Called when a worker has answered or failed. */
  #waiting: (() => void)[] = [];

  /**
   * @param threads how many threads hash at the same time, the calling one included; the others start when
   *   there is a batch for them
   * @param onProgress called with the bytes hashed since the last call
   */
  constructor(algorithm: VerityAlgorithm, threads: number, onProgress: (bytes: number) => void = () => {}) {
    this.#algorithm = algorithm;
    this.#hashLength = VERITY_HASHES[algorithm].length;
    this.#onProgress = onProgress;
    this.#threads = threads;
    this.#slab = this.#newSlab(SLAB_DIGESTS);
    useLibcrypto();
  }

  /**
   * Queues a file.
   * @param path absolute, without NUL; may be used again afterwards
   * @param length of the path, where other bytes follow it
   * @returns its content, whose digest is all zeros until {@link finish} has ended
   */
  add(path: Uint8Array, identity: FileIdentity, size: number, length: number = path.length): PooledContent {
    const exactSize = this.#exactSize(size);
    if (size >= BATCH_BYTES) {
      const slab = this.#newSlab(1);
      if (size > 2 * PIECE_BYTES) {
        this.#split(new Uint8Array(path.subarray(0, length)), identity, size, slab.bytes);
      } else {
        this.#single.add(path, length, identity, size);
        this.#queueFiles(this.#single.take(this.#algorithm), size, slab.bytes);
      }
      return new PooledContent(exactSize, slab, 0);
    }
    const content = new PooledContent(exactSize, this.#slab, this.#slabUsed + this.#open.count * this.#hashLength);
    this.#open.add(path, length, identity, size);
    if (this.#open.bytes >= BATCH_BYTES || this.#open.isFull) this.#postOpen();
    return content;
  }

  #newSlab(digests: number): DigestSlab {
    return { bytes: new Uint8Array(digests * this.#hashLength), digestLength: this.#hashLength };
  }

  /** Small sizes, which most files have, share their memory with equal ones. */
  #exactSize(size: number): bigint {
    if (size >= SIZES_KEPT) return BigInt(size);
    const known = this.#sizes[size];
    if (known !== undefined) return known;
    const made = BigInt(size);
    this.#sizes[size] = made;
    return made;
  }

  /** @param path is kept */
  #split(path: Uint8Array, identity: FileIdentity, size: number, digest: Uint8Array): void {
    const pieces = new Pieces();
    let isRelinked = false;
    // None is stored before this thread gives way, and all have been added by then.
    for (let offset = 0; offset < size; offset += PIECE_BYTES) {
      const piece = { offset, size: Math.min(PIECE_BYTES, size - offset) };
      const index = pieces.add(piece.size);
      this.#single.add(path, path.length, identity, piece.size);
      const batch = this.#single.take(this.#algorithm, piece);
      const store = ({ hashes, relinked }: HashedBatch) => {
        isRelinked ||= relinked.length > 0;
        if (!pieces.store(index, hashes)) return;
        pieces.digestInto(digest, this.#algorithm);
        if (isRelinked) this.#relinked.push({ path, digest });
      };
      this.#queue({ batch, bytes: piece.size, store });
    }
  }

  /**
   * Hashes what this thread makes, such as an image: the workers, where there are any, hash what it has made while it
   * goes on.
   */
  hasher(algorithm: VerityAlgorithm): ImageHasher {
    if (this.#workers.length === 0) return new VerityHasher(algorithm);
    return new PieceHasher(algorithm, {
      post: (batch) => this.#ask(batch),
      answer: () => this.#answer(),
    });
  }

  /**
   * Starts the workers if the files that are still to be added are likely to be worth it: it takes them as long to be up
   * as adding thousands of files does.
   * @param share of all files that has been added, as far as that can be known
   */
  expect(share: number): void {
    if (this.#work >= ESTIMATED_FROM && this.#work >= share * WORTH_THREADS) this.#startWorkers();
  }

  /** Lets the workers begin with what was added last, unless it is too little to start them for. */
  flush(): void {
    if (this.#workers.length > 0) this.#postOpen();
  }

  /**
   * Takes the answers that the workers have given. To be called now and then while files are added.
   * @throws SealError `input` when a file could not be hashed
   */
  async turn(): Promise<void> {
    await giveWay();
    if (this.#failure !== null) throw this.#failure;
  }

  /**
   * Hashes the rest, in this thread too, until all digests are there.
   * @throws SealError `input` when a file could not be hashed
   */
  async finish(): Promise<void> {
    this.#postOpen();
    await this.turn();
    // The largest first, so that no long one is left over at the end; of equal ones the last, because the workers
    // begin at the other end.
    const rest = [...this.#pending.entries()].reverse().sort(([, a], [, b]) => b.bytes - a.bytes);
    let sinceTurn = 0;
    for (const [number, pending] of rest) {
      if (!claim(pending.batch)) continue;
      this.#store(number, hashBatch(pending.batch));
      this.#onProgress(pending.bytes);
      sinceTurn += pending.bytes;
      if (sinceTurn < TURN_BYTES) continue;
      sinceTurn = 0;
      await this.turn();
    }
    while (this.#pending.size > 0) await this.#answer();
    if (this.#failure !== null) throw this.#failure;
  }

  /** Ends when a worker has answered. @throws SealError what went wrong */
  async #answer(): Promise<void> {
    if (this.#failure === null) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (this.#failure !== null) throw this.#failure;
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /**
   * The files, since the last call, whose digests need to be confirmed: whoever added them looks at them again,
   * and adds them again.
   */
  takeRelinked(): readonly RelinkedFile[] {
    const files = this.#relinked;
    this.#relinked = [];
    return files;
  }

  /** Ends the workers, as soon as they are done with the batches that they have begun. */
  async close(): Promise<void> {
    // From here on no thread begins another one.
    for (const { batch } of this.#pending.values()) claim(batch);
    // They end by themselves: node aborts the whole process when a thread is terminated while it loads koffi.
    this.#ask(null);
    await Promise.all(this.#ended);
  }

  /** They begin with what is queued. */
  #startWorkers(): void {
    if (this.#workers.length > 0) return;
    for (let count = 1; count < this.#threads; count++) {
      const worker = this.#startWorker();
      this.#workers.push(worker);
      for (const [number, { batch }] of this.#pending) worker.postMessage({ number, batch } satisfies HashQuestion);
    }
  }

  #startWorker(): Worker {
    // The sources run as they are, and built: each form finds the worker in its own.
    const file = import.meta.url.endsWith(".ts") ? "./hash-worker.ts" : "./hash-worker.js";
    const worker = startThread(new URL(file, import.meta.url));
    worker.on("message", (answer: HashAnswer) => this.#takeAnswer(answer));
    worker.on("error", (error) => this.#fail(error));
    this.#ended.push(new Promise((resolve) => worker.once("exit", () => resolve())));
    return worker;
  }

  #postOpen(): void {
    const { bytes, count } = this.#open;
    if (count === 0) return;
    const end = this.#slabUsed + count * this.#hashLength;
    const target = this.#slab.bytes.subarray(this.#slabUsed, end);
    this.#queueFiles(this.#open.take(this.#algorithm), bytes, target);
    this.#slabUsed = end;
    if (this.#slabUsed + BATCH_FILES * this.#hashLength <= this.#slab.bytes.length) return;
    this.#slab = this.#newSlab(SLAB_DIGESTS);
    this.#slabUsed = 0;
  }

  /** @param target memory for the digests */
  #queueFiles(batch: FileBatch, bytes: number, target: Uint8Array): void {
    const store = ({ hashes, relinked }: HashedBatch) => {
      target.set(hashes);
      for (const index of relinked) {
        const digest = target.subarray(index * this.#hashLength, (index + 1) * this.#hashLength);
        this.#relinked.push({ path: pathIn(batch, index), digest });
      }
    };
    this.#work += batch.count * FILE_COST;
    this.#queue({ batch, bytes, store });
  }

  #queue(pending: PendingBatch): void {
    const number = this.#batches++;
    this.#ask({ number, batch: pending.batch });
    this.#pending.set(number, pending);
    this.#work += pending.bytes;
    if (this.#work >= WORTH_THREADS) this.#startWorkers();
  }

  #ask(question: HashQuestion): void {
    for (const worker of this.#workers) worker.postMessage(question);
  }

  #takeAnswer(answer: HashAnswer): void {
    if (answer.kind === "files") this.#takeHashes(answer);
    else if (answer.kind === "failure") this.#fail(new SealError("input", answer.message));
    else this.#wake();
  }

  #takeHashes(answer: HashedBatch & { readonly number: number }): void {
    const bytes = this.#pending.get(answer.number)?.bytes ?? 0;
    this.#store(answer.number, answer);
    this.#onProgress(bytes);
    this.#wake();
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#wake();
  }

  #store(number: number, hashed: HashedBatch): void {
    const pending = this.#pending.get(number);
    this.#pending.delete(number);
    pending?.store(hashed);
  }
}
