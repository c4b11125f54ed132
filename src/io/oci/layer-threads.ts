/**
 * Reads layers on several threads, this one among them. Whoever is free takes the next layer, the largest first, and
 * reads it whole: bytes of layers never travel between threads, only what the layers hold does. Those that are only
 * hashed are hashed meanwhile. Another thread sees to that: this one builds trees for tenths of a second without a pause.
 */
import { availableParallelism } from "node:os";
import { SealError } from "../../errors.ts";
import { decodeLayer } from "../../tree/layer-codec.ts";
import type { LayerContents } from "../../tree/layer-contents.ts";
import { useLibcrypto } from "../libcrypto.ts";
import { setForWork } from "../v8-settings.ts";
import type { Layer } from "./layer.ts";
import { LayerThread } from "./layer-thread.ts";
import type { LayerWork, NumberedLayer, ReadAnswer } from "./layer-worker.ts";
import { hashOnly, type LayerReading, type ReadingPort, type ReadSince, readContents } from "./read-contents.ts";
import { NotNeeded, ReadingState } from "./reading-state.ts";
import { PieceMemory } from "./stored-file.ts";
import type { WrittenContents } from "./written-contents.ts";

/** More have no use: node unpacks on four threads, and each of these has about as much to do as one of those. */
const THREADS_MAX = 4;
/** A thread that is started costs as much as some MB of layers: each is to have more than that. */
const WORTH_THREAD = 16 << 20;
const WORTH_LIBCRYPTO = 4 << 20;
/** Starting a thread costs as much as hashing so many bytes. */
const WORTH_HASH_THREAD = 64 << 20;

/** A layer that is to be read. */
export interface LayerTask {
  readonly layer: Layer;
  /** Whether it need only be hashed: what it holds is known. */
  readonly isKnown: boolean;
  /** What comes of it where it is hashed elsewhere; absent: that is done here. */
  readonly elsewhere?: Promise<null> | null;
}

export interface ThreadsOptions {
  /** Threads at most, this one included; default: as many as there are cores. */
  readonly jobs?: number | undefined;
  /** A thread that was started before it was known what is to be read, see {@link earlyThread}. */
  readonly early?: LayerThread | null;
  /** See {@link readContents}; for what this thread reads. */
  readonly written?: WrittenContents | null;
  readonly onProgress: (total: Readonly<ReadSince>) => void;
}

/**
 * A thread that hashes layers, or reads them, when it is up: where it is likely that there will be work for one.
 * @param size bytes of all layers
 * @param jobs see {@link ThreadsOptions}
 */
export function earlyThread(size: number, jobs = availableParallelism()): LayerThread | null {
  return jobs > 1 && size > WORTH_HASH_THREAD ? new LayerThread() : null;
}

/** Whether another thread is worth its price for layers that are only hashed. @param jobs see {@link ThreadsOptions} */
export function isWorthHashThread(layers: readonly NumberedLayer[], jobs: number): boolean {
  return jobs > 1 && workIn(layers) > WORTH_HASH_THREAD;
}

export class LayerThreads {
  readonly #reading: LayerReading;
  readonly #options: ThreadsOptions;
  /** Those to be read, in the order in which they are taken. */
  readonly #layers: readonly NumberedLayer[];
  /** The same of those that are only hashed. */
  readonly #known: readonly NumberedLayer[];
  /** Whether another thread hashes them. */
  readonly #isHashedBeside: boolean;
  readonly #state: ReadingState;
  readonly #results: readonly PromiseWithResolvers<LayerContents | null>[];
  readonly #ended: Promise<void>[] = [];
  readonly #own: readonly Promise<void>[];

  /** Begins to read. @param layers lowest first */
  constructor(layers: readonly LayerTask[], reading: LayerReading, options: ThreadsOptions) {
    this.#reading = reading;
    this.#options = options;
    const numbered = (known: boolean) =>
      layers.flatMap(({ layer, isKnown, elsewhere = null }, number) =>
        isKnown === known && elsewhere === null ? [{ number, layer }] : [],
      );
    this.#layers = bySize(numbered(false));
    this.#results = layers.map(() => Promise.withResolvers<LayerContents | null>());
    // An error is thrown when its turn comes, or not at all after another one.
    for (const { promise } of this.#results) promise.catch(() => {});
    for (const [number, { elsewhere = null }] of layers.entries()) {
      if (elsewhere !== null) this.#results[number]?.resolve(elsewhere);
    }
    // Smaller layers are read before it is loaded.
    const isLarge = workIn(this.#layers) > WORTH_LIBCRYPTO;
    if (isLarge) useLibcrypto();
    const cores = options.jobs ?? availableParallelism();
    const jobs = Math.min(cores, THREADS_MAX);
    // One thread has the largest layer to read, and others are started for the rest.
    const others = Math.floor(workIn(this.#layers.slice(1)) / WORTH_THREAD);
    const threads = Math.max(1, Math.min(this.#layers.length, jobs, 1 + others));
    const known = bySize(numbered(true));
    this.#known = known;
    const isHashedBeside = isWorthHashThread(known, jobs);
    this.#isHashedBeside = isHashedBeside;
    this.#state = new ReadingState(threads + Number(isHashedBeside), cores);
    let { early = null } = options;
    const start = (work: LayerWork) => {
      this.#start(work, early ?? new LayerThread());
      early = null;
    };
    // This one keeps a core busy, too.
    if (isHashedBeside) start({ kind: "hash", layers: known, thread: threads, atOnce: jobs - 1 });
    for (let thread = 1; thread < threads; thread++) start({ kind: "read", layers: this.#layers, thread });
    early?.dismiss();
    if (isLarge && threads === 1 && !isHashedBeside) setForWork();
    const hashing = isHashedBeside ? 0 : jobs;
    this.#own = [
      this.#state.reader(() => this.#readFree()),
      ...Array.from({ length: hashing }, () => this.#hashFree()),
    ];
  }

  /**
   * What a layer holds; null of one that is known: it has its digest. When one can't be read, those above it are not read
   * any more: what is wrong is said of the lowest that has an error of its own.
   * @throws SealError `input` as {@link readContents}
   * @throws NotNeeded of a layer above one that can't be read
   */
  contents(layer: number): Promise<LayerContents | null> {
    return this.#results[layer]?.promise ?? Promise.reject(new Error("there is no such layer"));
  }

  /** Hashes what another thread has left, for when this one has nothing else to do; then no more are at work than may be. */
  async help(): Promise<void> {
    if (this.#isHashedBeside) await this.#hashFree();
  }

  /** What has been read so far. */
  total(): Readonly<ReadSince> {
    return this.#state.total();
  }

  /** Gives up what has not been read. */
  stop(reason: unknown): void {
    this.#state.fail(-1);
    for (const { reject } of this.#results) reject(reason);
  }

  /** Ends all threads: each gives up what it reads when it next says how far it is. */
  async close(): Promise<void> {
    this.#state.fail(-1);
    await Promise.all(this.#own);
    // They end by themselves: node aborts the whole process when a thread is terminated while it loads koffi.
    await Promise.all(this.#ended);
  }

  #start(work: LayerWork, thread: LayerThread): void {
    const answer = (answer: ReadAnswer | null) => {
      this.#options.onProgress(this.#state.total());
      if (answer === null) return;
      const result = this.#results[answer.number];
      if ("failure" in answer) this.#fail(answer.number, new SealError("input", answer.failure));
      else if (answer.encoded === null) result?.resolve(null);
      else result?.resolve({ ...decodeLayer(answer.encoded, "a layer"), contents: answer.contents });
    };
    const { memory } = this.#state;
    thread.begin({ work, reading: this.#reading, memory }, { answer, error: (error) => this.stop(error) });
    this.#ended.push(thread.ended);
  }

  async #readFree(): Promise<void> {
    const state = this.#state;
    for (let next = this.#layers[state.next()]; next !== undefined; next = this.#layers[state.next()]) {
      await this.#work(next, (port) => readContents(next.layer, this.#reading, port, this.#options.written));
    }
  }

  /** Hashes one layer after the other, of those that others hash, too. */
  async #hashFree(): Promise<void> {
    const state = this.#state;
    const memory = new PieceMemory();
    for (let next = this.#known[state.nextKnown()]; next !== undefined; next = this.#known[state.nextKnown()]) {
      const { layer } = next;
      await this.#work(next, async (port) => {
        await hashOnly(layer, port, memory);
        return null;
      });
    }
  }

  async #work({ number }: NumberedLayer, work: (port: ReadingPort) => Promise<LayerContents | null>): Promise<void> {
    const state = this.#state;
    if (!state.isNeeded(number)) return;
    try {
      this.#results[number]?.resolve(await work(state.port(0, number, () => this.#options.onProgress(state.total()))));
    } catch (error) {
      if (!(error instanceof NotNeeded)) this.#fail(number, error);
    }
  }

  /** Notes what is wrong with a layer: those above it are not read any more, which whoever waits for one has to hear. */
  #fail(number: number, error: unknown): void {
    this.#state.fail(number);
    this.#results[number]?.reject(error);
    for (const above of this.#results.slice(number + 1)) above.reject(new NotNeeded());
  }
}

function bySize(layers: readonly NumberedLayer[]): NumberedLayer[] {
  return layers.toSorted((a, b) => b.layer.file.size - a.layer.file.size);
}

function workIn(layers: readonly NumberedLayer[]): number {
  return layers.reduce((sum, { layer }) => sum + layer.file.size, 0);
}
