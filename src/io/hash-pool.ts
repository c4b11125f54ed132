/**
 * Computes the fs-verity digests of many files on all cores: worker threads, and the main thread as soon as it has nothing
 * else to do. Files travel in batches of paths; contents never leave the thread that reads them, so memory does not
 * grow with their size.
 */
import { setImmediate as giveWay } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import type { VerityAlgorithm } from "../composefs/profile.ts";
import { VERITY_HASHES } from "../composefs/verity.ts";
import { SealError } from "../errors.ts";
import { type Batch, type FileIdentity, hashBatch } from "./hash-file.ts";
import type { Answer } from "./hash-worker.ts";

/** A batch is full with so many bytes of content or so many files: some milliseconds of work. */
const BATCH_BYTES = 1 << 20;
const BATCH_FILES = 128;
/** A worker gets its next batch before it has answered the last one, unless that much work lies before it. */
const AHEAD_BYTES = 4 << 20;
/** The main thread looks after the workers each time it has hashed so much. */
const TURN_BYTES = 1 << 20;
/** Digests are slices of buffers of this many. */
const SLAB_DIGESTS = 1024;

interface PendingBatch {
  readonly batch: Batch;
  readonly bytes: number;
  /** Where the digests go. */
  readonly digests: readonly Uint8Array[];
}

interface PoolWorker {
  readonly thread: Worker;
  /** Batches that it has not answered yet, oldest first. */
  readonly assigned: PendingBatch[];
}

export class HashPool {
  readonly #algorithm: VerityAlgorithm;
  readonly #hashLength: number;
  readonly #onProgress: (bytes: number) => void;
  readonly #workers: PoolWorker[] = [];
  /** Batches of one large file each, smallest first: the largest starts first, so that none is left over at the end. */
  readonly #large: PendingBatch[] = [];
  /** Batches of small files. */
  readonly #small: PendingBatch[] = [];
  /** The batch of small files that is being filled. */
  #open = new OpenBatch();
  #slab = new Uint8Array(0);
  #slabUsed = 0;
  #failure: unknown = null;
  /** Called when a worker has answered or failed. */
  #wake: () => void = () => {};

  /**
   * Starts the workers; they come up while the caller looks for files.
   * @param threads how many threads hash at the same time, the calling one included
   * @param onProgress called with the bytes hashed since the last call
   */
  constructor(algorithm: VerityAlgorithm, threads: number, onProgress: (bytes: number) => void = () => {}) {
    this.#algorithm = algorithm;
    this.#hashLength = VERITY_HASHES[algorithm].length;
    this.#onProgress = onProgress;
    for (let count = 1; count < threads; count++) this.#workers.push(this.#startWorker());
  }

  /**
   * Queues a file.
   * @param path absolute, its bytes as latin1
   * @returns its digest: the array is there at once, its bytes when {@link finish} has ended
   */
  add(path: string, identity: FileIdentity, size: number): Uint8Array {
    const digest = this.#allocateDigest();
    if (size >= BATCH_BYTES) {
      const batch = new OpenBatch();
      batch.add(path, identity, size, digest);
      insertBySize(this.#large, batch.close(this.#algorithm));
      return digest;
    }
    this.#open.add(path, identity, size, digest);
    if (this.#open.bytes >= BATCH_BYTES || this.#open.digests.length === BATCH_FILES) this.#closeBatch();
    return digest;
  }

  /**
   * Hands work to the workers and takes their answers. To be called now and then while files are added.
   * @throws SealError `input` when a file could not be hashed
   */
  async turn(): Promise<void> {
    this.#dispatch();
    await giveWay();
    if (this.#failure !== null) throw this.#failure;
  }

  /**
   * Hashes what is left, here too, until all digests are there.
   * @throws SealError `input` when a file could not be hashed
   */
  async finish(): Promise<void> {
    this.#closeBatch();
    await this.turn();
    for (let next = this.#takeHere(); next !== undefined; next = this.#takeHere()) {
      await this.#hashHere(next);
      await this.turn();
    }
    while (this.#failure === null && this.#workers.some((worker) => worker.assigned.length > 0)) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#failure !== null) throw this.#failure;
  }

  /** Ends the workers, whatever they are doing. */
  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.thread.terminate()));
  }

  #startWorker(): PoolWorker {
    // The sources run as they are, and built: each form finds the worker in its own.
    const file = import.meta.url.endsWith(".ts") ? "./hash-worker.ts" : "./hash-worker.js";
    const worker: PoolWorker = { thread: new Worker(new URL(file, import.meta.url), { execArgv: [] }), assigned: [] };
    worker.thread.on("message", (answer: Answer) => this.#takeAnswer(worker, answer));
    worker.thread.on("error", (error) => this.#fail(error));
    return worker;
  }

  #takeAnswer(worker: PoolWorker, answer: Answer): void {
    const done = worker.assigned.shift();
    if (done === undefined) throw new Error("a hash worker answered without a question");
    if ("failure" in answer) {
      this.#fail(new SealError("input", answer.failure));
      return;
    }
    this.#store(done, answer.digests);
    this.#onProgress(done.bytes);
    this.#dispatch();
    this.#wake();
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#wake();
  }

  #store(done: PendingBatch, digests: Uint8Array): void {
    for (const [index, digest] of done.digests.entries()) {
      digest.set(digests.subarray(index * this.#hashLength, (index + 1) * this.#hashLength));
    }
  }

  #dispatch(): void {
    for (const worker of this.#workers) {
      let ahead = worker.assigned.reduce((sum, pending) => sum + pending.bytes, 0);
      while (ahead < AHEAD_BYTES && worker.assigned.length < 2) {
        const next = this.#large.pop() ?? this.#small.pop();
        if (next === undefined) return;
        worker.assigned.push(next);
        worker.thread.postMessage(next.batch, [next.batch.paths.buffer, next.batch.identities.buffer]);
        ahead += next.bytes;
      }
    }
  }

  /** Work for the main thread: the small first, because the workers take the large. */
  #takeHere(): PendingBatch | undefined {
    return this.#small.pop() ?? this.#large.shift();
  }

  async #hashHere(pending: PendingBatch): Promise<void> {
    const steps = hashBatch(pending.batch);
    try {
      let sinceTurn = 0;
      for (let step = steps.next(); ; step = steps.next()) {
        if (step.done === true) return this.#store(pending, step.value);
        this.#onProgress(step.value);
        sinceTurn += step.value;
        if (sinceTurn < TURN_BYTES) continue;
        sinceTurn = 0;
        await this.turn();
      }
    } finally {
      // Closes the file when a worker's failure has ended this.
      steps.return(new Uint8Array(0));
    }
  }

  #closeBatch(): void {
    if (this.#open.digests.length === 0) return;
    this.#small.push(this.#open.close(this.#algorithm));
    this.#open = new OpenBatch();
  }

  #allocateDigest(): Uint8Array {
    if (this.#slabUsed === this.#slab.length) {
      this.#slab = new Uint8Array(SLAB_DIGESTS * this.#hashLength);
      this.#slabUsed = 0;
    }
    const digest = this.#slab.subarray(this.#slabUsed, this.#slabUsed + this.#hashLength);
    this.#slabUsed += this.#hashLength;
    return digest;
  }
}

/** A batch while files are added to it. */
class OpenBatch {
  bytes = 0;
  readonly digests: Uint8Array[] = [];
  #paths = "";
  readonly #identities: bigint[] = [];

  add(path: string, identity: FileIdentity, size: number, digest: Uint8Array): void {
    this.#paths += `${path}\0`;
    this.#identities.push(...identity);
    this.digests.push(digest);
    this.bytes += size;
  }

  close(algorithm: VerityAlgorithm): PendingBatch {
    // Of its own, not of node's pool: it moves to another thread.
    const paths = new Uint8Array(this.#paths.length);
    Buffer.from(paths.buffer).write(this.#paths, "latin1");
    const identities = BigInt64Array.from(this.#identities);
    return { batch: { algorithm, paths, identities }, bytes: this.bytes, digests: this.digests };
  }
}

/** Inserts into a list that is sorted by size, smallest first. */
function insertBySize(list: PendingBatch[], item: PendingBatch): void {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((list[middle] as PendingBatch).bytes < item.bytes) low = middle + 1;
    else high = middle;
  }
  list.splice(low, 0, item);
}
