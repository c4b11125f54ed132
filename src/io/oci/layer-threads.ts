/**
 * Reads layers on several threads, this one among them. Whoever is free takes the next layer, the largest first, and reads it whole: bytes of
 * layers never travel between threads, only what the layers hold does.
 */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { SealError } from "../../errors.ts";
import { decodeLayer } from "../../tree/layer-codec.ts";
import type { LayerContents } from "../../tree/layer-contents.ts";
import { useLibcrypto } from "../libcrypto.ts";
import type { NumberedLayer, ReadAnswer, ReadQuestion } from "./layer-worker.ts";
import { hashOnly, type LayerReading, type ReadSince, readContents } from "./read-contents.ts";
import { NotNeeded, ReadingState } from "./reading-state.ts";

/** More have no use: node unpacks on four threads, and each of these has about as much to do as one of those. */
const THREADS_MAX = 4;
/** A thread that is started costs as much as some MB of layers: each is to have more than that. */
const WORTH_THREAD = 16 << 20;
const WORTH_LIBCRYPTO = 4 << 20;

/** A layer that is to be read, or only hashed. */
export type LayerTask = Omit<NumberedLayer, "number">;

export interface ThreadsOptions {
  /** Threads at most, this one included; default: as many as there are cores. */
  readonly jobs?: number | undefined;
  readonly onProgress: (total: Readonly<ReadSince>) => void;
}

export class LayerThreads {
  readonly #reading: LayerReading;
  readonly #options: ThreadsOptions;
  /** In the order in which they are taken. */
  readonly #layers: readonly NumberedLayer[];
  readonly #state: ReadingState;
  readonly #results: readonly PromiseWithResolvers<LayerContents | null>[];
  readonly #ended: Promise<void>[] = [];
  readonly #own: Promise<void>;

  /** Begins to read. @param layers lowest first */
  constructor(layers: readonly LayerTask[], reading: LayerReading, options: ThreadsOptions) {
    this.#reading = reading;
    this.#options = options;
    this.#layers = layers.map((task, number) => ({ number, ...task })).sort((a, b) => workOf(b) - workOf(a));
    this.#results = layers.map(() => Promise.withResolvers<LayerContents | null>());
    // An error is thrown when its turn comes, or not at all after another one.
    for (const { promise } of this.#results) promise.catch(() => {});
    // Smaller layers are read before it is loaded.
    if (workIn(layers.filter(({ isKnown }) => !isKnown)) > WORTH_LIBCRYPTO) useLibcrypto();
    const threads = threadsFor(layers, options.jobs);
    this.#state = new ReadingState(threads);
    for (let thread = 1; thread < threads; thread++) this.#start(thread);
    this.#own = this.#readFree();
  }

  /**
   * What a layer holds; null of one that is known: it has its digest. Ask for the lowest first: when one can't be read, those above it are not read any more.
   * @throws SealError `input` as {@link readContents}
   */
  contents(layer: number): Promise<LayerContents | null> {
    return this.#results[layer]?.promise ?? Promise.reject(new Error("there is no such layer"));
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
    await this.#own;
    // They end by themselves: node aborts the whole process when a thread is terminated while it loads koffi.
    await Promise.all(this.#ended);
  }

  #start(thread: number): void {
    // The sources run as they are, and built: each form finds the worker in its own.
    const file = import.meta.url.endsWith(".ts") ? "./layer-worker.ts" : "./layer-worker.js";
    const worker = new Worker(new URL(file, import.meta.url), { execArgv: [] });
    worker.on("message", (answer: ReadAnswer) => {
      const result = this.#results[answer.number];
      if ("failure" in answer) result?.reject(new SealError("input", answer.failure));
      else if ("encoded" in answer) {
        result?.resolve({ ...decodeLayer(answer.encoded, "a layer"), contents: answer.contents });
      } else result?.resolve(null);
    });
    worker.on("error", (error) => this.stop(error));
    const { memory } = this.#state;
    worker.postMessage({ layers: this.#layers, reading: this.#reading, memory, thread } satisfies ReadQuestion);
    this.#ended.push(new Promise((resolve) => worker.once("exit", () => resolve())));
  }

  async #readFree(): Promise<void> {
    const state = this.#state;
    const onProgress = () => this.#options.onProgress(state.total());
    for (let next = this.#layers[state.next()]; next !== undefined; next = this.#layers[state.next()]) {
      const { number, layer, isKnown } = next;
      if (!state.isNeeded(number)) continue;
      const port = state.port(0, number, onProgress);
      try {
        const contents = isKnown ? await hashOnly(layer, port) : await readContents(layer, this.#reading, port);
        this.#results[number]?.resolve(contents ?? null);
      } catch (error) {
        if (error instanceof NotNeeded) continue;
        state.fail(number);
        this.#results[number]?.reject(error);
      }
    }
  }
}

function threadsFor(layers: readonly LayerTask[], jobs = availableParallelism()): number {
  return Math.max(1, Math.min(layers.length, jobs, THREADS_MAX, Math.floor(workIn(layers) / WORTH_THREAD)));
}

/** In bytes of a layer that is read. Only to hash is a quarter of that, or less. */
function workOf({ layer, isKnown }: LayerTask): number {
  return isKnown ? layer.file.size / 4 : layer.file.size;
}

function workIn(layers: readonly LayerTask[]): number {
  return layers.reduce((sum, layer) => sum + workOf(layer), 0);
}
