/**
 * Computes the fs-verity digests of many files on all cores: worker threads, and the main thread as soon as it has nothing
 * else to do. Files travel in batches of paths; contents never leave the thread that reads them, so memory does not
 * grow with their size.
 *
 * Every worker gets every batch, and who claims it first hashes it. So no thread ever waits for another: the workers go on while the main
 * thread walks or transforms the tree, and the main thread takes what they have not begun.
 */
import { setImmediate as giveWay } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import type { VerityAlgorithm } from "../composefs/profile.ts";
import { VERITY_HASHES } from "../composefs/verity.ts";
import { SealError } from "../errors.ts";
import {
  type Batch,
  claim,
  type FileIdentity,
  type HashedBatch,
  hashBatch,
  IDENTITY_WORDS,
  pathIn,
} from "./hash-file.ts";
import type { Answer, Question } from "./hash-worker.ts";

/** A batch is full with so many bytes of content or so many files: some milliseconds of work. */
const BATCH_BYTES = 1 << 20;
const BATCH_FILES = 128;
/** What opening and closing a file costs, as bytes that are hashed in that time. */
const FILE_COST = 12 << 10;
/** Starting a thread costs as much as hashing so many bytes: with less than that the main thread is done before another one is up. */
const WORTH_THREADS = 24 << 20;
/** The main thread looks at the answers of the workers each time it has hashed so much. */
const TURN_BYTES = 4 << 20;
/** Digests are slices of buffers of this many. */
const SLAB_DIGESTS = 1024;

interface PendingBatch {
  readonly batch: Batch;
  readonly bytes: number;
  /** Where the digests go. */
  readonly digests: readonly Uint8Array[];
}

/** A file that got or lost a name while it was hashed. */
export interface RelinkedFile {
  /** Absolute, its bytes as latin1. */
  readonly path: string;
  /** What {@link HashPool.add} returned. */
  readonly digest: Uint8Array;
}

export class HashPool {
  readonly #algorithm: VerityAlgorithm;
  readonly #hashLength: number;
  readonly #onProgress: (bytes: number) => void;
  readonly #threads: number;
  readonly #workers: Worker[] = [];
  /** Batches that are not done, by their number. */
  readonly #pending = new Map<number, PendingBatch>();
  #relinked: RelinkedFile[] = [];
  #batches = 0;
  /** All work so far, in bytes. */
  #work = 0;
  /** The batch of small files that is being filled. */
  #open = new OpenBatch();
  #slab = new Uint8Array(0);
  #slabUsed = 0;
  #failure: unknown = null;
  /** Called when a worker has answered or failed. */
  #wake: () => void = () => {};

  /**
   * @param threads how many threads hash at the same time, the calling one included; the others start when there is a batch for them
   * @param onProgress called with the bytes hashed since the last call
   */
  constructor(algorithm: VerityAlgorithm, threads: number, onProgress: (bytes: number) => void = () => {}) {
    this.#algorithm = algorithm;
    this.#hashLength = VERITY_HASHES[algorithm].length;
    this.#onProgress = onProgress;
    this.#threads = threads;
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
      this.#post(batch);
    } else {
      this.#open.add(path, identity, size, digest);
      if (this.#open.bytes >= BATCH_BYTES || this.#open.digests.length === BATCH_FILES) this.#postOpen();
    }
    return digest;
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
   * Hashes what is left, here too, until all digests are there.
   * @throws SealError `input` when a file could not be hashed
   */
  async finish(): Promise<void> {
    this.#postOpen();
    await this.turn();
    // The largest first, so that no long one is left over at the end; of equal ones the last, because the workers begin at the other end.
    const rest = [...this.#pending.entries()].reverse().sort(([, a], [, b]) => b.bytes - a.bytes);
    for (const [number, pending] of rest) {
      if (claim(pending.batch)) await this.#hashHere(number, pending);
    }
    while (this.#failure === null && this.#pending.size > 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#failure !== null) throw this.#failure;
  }

  /** The files, since the last call, whose digests need to be confirmed: whoever added them looks at them again, and adds them again. */
  takeRelinked(): readonly RelinkedFile[] {
    const files = this.#relinked;
    this.#relinked = [];
    return files;
  }

  /** Ends the workers, whatever they are doing. */
  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  /** They begin with what is queued. */
  #startWorkers(): void {
    if (this.#workers.length > 0) return;
    for (let count = 1; count < this.#threads; count++) {
      const worker = this.#startWorker();
      this.#workers.push(worker);
      for (const [number, { batch }] of this.#pending) worker.postMessage({ number, batch } satisfies Question);
    }
  }

  #startWorker(): Worker {
    // The sources run as they are, and built: each form finds the worker in its own.
    const file = import.meta.url.endsWith(".ts") ? "./hash-worker.ts" : "./hash-worker.js";
    const worker = new Worker(new URL(file, import.meta.url), { execArgv: [] });
    worker.on("message", (answer: Answer) => this.#takeAnswer(answer));
    worker.on("error", (error) => this.#fail(error));
    return worker;
  }

  #postOpen(): void {
    if (this.#open.digests.length > 0) this.#post(this.#open);
    this.#open = new OpenBatch();
  }

  #post(open: OpenBatch): void {
    const number = this.#batches++;
    const pending = open.close(this.#algorithm);
    const question: Question = { number, batch: pending.batch };
    for (const worker of this.#workers) worker.postMessage(question);
    this.#pending.set(number, pending);
    this.#work += pending.bytes + pending.digests.length * FILE_COST;
    if (this.#work >= WORTH_THREADS) this.#startWorkers();
  }

  #takeAnswer(answer: Answer): void {
    if ("failure" in answer) {
      this.#fail(new SealError("input", answer.failure));
      return;
    }
    const bytes = this.#pending.get(answer.number)?.bytes ?? 0;
    this.#store(answer.number, answer);
    this.#onProgress(bytes);
    this.#wake();
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#wake();
  }

  #store(number: number, { digests, relinked }: HashedBatch): void {
    const pending = this.#pending.get(number);
    for (const [index, slice] of (pending?.digests ?? []).entries()) {
      slice.set(digests.subarray(index * this.#hashLength, (index + 1) * this.#hashLength));
    }
    for (const index of relinked) {
      const digest = pending?.digests[index];
      if (pending !== undefined && digest !== undefined) {
        this.#relinked.push({ path: pathIn(pending.batch, index), digest });
      }
    }
    this.#pending.delete(number);
  }

  async #hashHere(number: number, { batch }: PendingBatch): Promise<void> {
    const steps = hashBatch(batch);
    try {
      let sinceTurn = 0;
      for (let step = steps.next(); ; step = steps.next()) {
        if (step.done === true) {
          this.#store(number, step.value);
          return;
        }
        this.#onProgress(step.value);
        sinceTurn += step.value;
        if (sinceTurn < TURN_BYTES) continue;
        sinceTurn = 0;
        await this.turn();
      }
    } finally {
      // Closes the file when a worker's failure has ended this.
      steps.return({ digests: new Uint8Array(0), relinked: [] });
    }
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
  readonly #identities: number[] = [];

  add(path: string, identity: FileIdentity, size: number, digest: Uint8Array): void {
    this.#paths += `${path}\0`;
    for (const word of identity) this.#identities.push(word);
    this.digests.push(digest);
    this.bytes += size;
  }

  close(algorithm: VerityAlgorithm): PendingBatch {
    const paths = Buffer.from(new SharedArrayBuffer(this.#paths.length));
    paths.write(this.#paths, "latin1");
    const identities = new Float64Array(new SharedArrayBuffer(this.digests.length * IDENTITY_WORDS * 8));
    identities.set(this.#identities);
    const claimed = new Int32Array(new SharedArrayBuffer(4));
    return { batch: { algorithm, paths, identities, claimed }, bytes: this.bytes, digests: this.digests };
  }
}
