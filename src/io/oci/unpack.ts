/**
 * Layers unpacked by worker threads, one layer at a time each. Blocks of memory go back and forth between the threads, so that none is
 * allocated for the bytes that pass, and a reader that falls behind stops the worker.
 */
import { Worker } from "node:worker_threads";
import { SealError } from "../../errors.ts";
import { type Layer, type StoredListener, type UnpackedListener, unpackLayer } from "./layer.ts";
import type { UnpackAnswer, UnpackQuestion } from "./unpack-worker.ts";

/** Smaller layers are read before a thread has started for them. */
const LARGE_LAYER = 4 << 20;
const BLOCK_SIZE = 1 << 20;
/** One that is read, one that is filled, and two on the way. */
const BLOCKS = 4;

/** Threads that wait for layers. They start when there is a layer for them. */
export class Unpackers {
  readonly #idle: UnpackThread[] = [];

  /**
   * The archive in a layer, see `unpackLayer`; of a large one from another thread. As many threads run as archives are read at the same time.
   * @returns chunks that are valid until the next one is asked for
   * @throws SealError `input` for a layer that is damaged or not the one that the image names
   */
  archive(layer: Layer, onStored: StoredListener, onUnpacked: UnpackedListener): AsyncGenerator<Uint8Array> {
    const isHere = this.#idle.length === 0 && layer.file.size < LARGE_LAYER;
    return isHere ? unpackLayer(layer, onStored, onUnpacked) : this.#elsewhere(layer, onStored, onUnpacked);
  }

  async *#elsewhere(layer: Layer, onStored: StoredListener, onUnpacked: UnpackedListener): AsyncGenerator<Uint8Array> {
    const thread = this.#idle.pop() ?? new UnpackThread();
    let isDone = false;
    try {
      yield* thread.unpack(layer, onStored, onUnpacked);
      isDone = true;
    } finally {
      // One that was left in the middle of a layer is of no more use.
      if (isDone) this.#idle.push(thread);
      else await thread.close();
    }
  }

  /** Ends the threads that have nothing to do. */
  async close(): Promise<void> {
    await Promise.all(this.#idle.splice(0).map((thread) => thread.close()));
  }
}

class UnpackThread {
  readonly #worker: Worker;
  readonly #answers: UnpackAnswer[] = [];
  #failure: unknown = null;
  #wake: () => void = () => {};

  constructor() {
    // The sources run as they are, and built: each form finds the worker in its own.
    const file = import.meta.url.endsWith(".ts") ? "./unpack-worker.ts" : "./unpack-worker.js";
    this.#worker = new Worker(new URL(file, import.meta.url), { execArgv: [] });
    this.#worker.on("message", (answer: UnpackAnswer) => {
      this.#answers.push(answer);
      this.#wake();
    });
    this.#worker.on("error", (error) => {
      this.#failure = error;
      this.#wake();
    });
    for (let count = 0; count < BLOCKS; count++) this.#giveBack(new Uint8Array(BLOCK_SIZE));
  }

  async *unpack(layer: Layer, onStored: StoredListener, onUnpacked: UnpackedListener): AsyncGenerator<Uint8Array> {
    this.#worker.postMessage({ kind: "layer", layer } satisfies UnpackQuestion);
    for (;;) {
      const answer = await this.#answer();
      if (answer.kind === "end") {
        onUnpacked(answer.unpacked);
        return;
      }
      if (answer.kind === "failure") throw new SealError("input", answer.message);
      onStored(answer.stored);
      yield answer.block.subarray(0, answer.length);
      this.#giveBack(answer.block);
    }
  }

  async #answer(): Promise<UnpackAnswer> {
    for (;;) {
      const answer = this.#answers.shift();
      if (answer !== undefined) return answer;
      if (this.#failure !== null) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #giveBack(block: Uint8Array<ArrayBuffer>): void {
    this.#worker.postMessage({ kind: "block", block } satisfies UnpackQuestion, [block.buffer]);
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
