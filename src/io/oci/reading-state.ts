/**
 * What the threads share that read the layers of one image: who reads which, when to stop, how much is kept,
 * and how far they are.
 */
import { KEPT_LIMIT } from "./kept-contents.ts";
import type { ReadingPort, ReadSince } from "./read-contents.ts";

/** Places of the words. */
const NEXT = 0;
const FAILED = 1;
const LEFT = 2;
const READERS = 3;
const CORES = 4;
const HASHED = 5;
const WORDS = 6;
const COUNTERS = ["stored", "files", "directories", "hashed"] as const satisfies readonly (keyof ReadSince)[];

export class ReadingState {
  /** To make one of these for another thread. */
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  /** {@link COUNTERS} of each thread, which alone writes them. */
  readonly #counters: Float64Array;

  /**
   * @param memory of another one; or how many threads there will be
   * @param cores that they may keep busy
   */
  constructor(memory: SharedArrayBuffer | number, cores = 1) {
    const isNew = typeof memory === "number";
    this.memory = isNew ? new SharedArrayBuffer(WORDS * 4 + memory * COUNTERS.length * 8) : memory;
    this.#words = new Int32Array(this.memory, 0, WORDS);
    this.#counters = new Float64Array(this.memory, WORDS * 4);
    if (!isNew) return;
    this.#words[FAILED] = 2 ** 31 - 1;
    this.#words[LEFT] = KEPT_LIMIT;
    this.#words[CORES] = cores;
  }

  /** Runs the work of a thread that reads layers, which keeps a core busy. */
  async reader(work: () => Promise<void>): Promise<void> {
    Atomics.add(this.#words, READERS, 1);
    try {
      await work();
    } finally {
      Atomics.sub(this.#words, READERS, 1);
    }
  }

  /** Whether threads of node can work beside those that read. */
  hasFreeCore(): boolean {
    return Atomics.load(this.#words, READERS) < Atomics.load(this.#words, CORES);
  }

  /** Numbers from 0, each to one caller: of layers to be read. */
  next(): number {
    return Atomics.add(this.#words, NEXT, 1);
  }

  /** The same of layers that are only hashed. */
  nextKnown(): number {
    return Atomics.add(this.#words, HASHED, 1);
  }

  /** Layers above this one are not needed any more, because it can't be read; -1: none is. */
  fail(layer: number): void {
    for (let old = Atomics.load(this.#words, FAILED); layer < old; old = Atomics.load(this.#words, FAILED)) {
      if (Atomics.compareExchange(this.#words, FAILED, old, layer) === old) return;
    }
  }

  isNeeded(layer: number): boolean {
    return layer <= Atomics.load(this.#words, FAILED);
  }

  /** Sets memory aside for a content. @returns false: there is no more */
  reserve(size: bigint): boolean {
    // More than all of it is as good as any number.
    const kibibytes = Number((size + 1023n) >> 10n);
    for (let left = Atomics.load(this.#words, LEFT); kibibytes <= left; left = Atomics.load(this.#words, LEFT)) {
      if (Atomics.compareExchange(this.#words, LEFT, left, left - kibibytes) === left) return true;
    }
    return false;
  }

  /** Of one thread, while it reads a layer. */
  port(thread: number, layer: number, onProgress: () => void = () => {}): ReadingPort {
    return {
      reserve: (size) => this.reserve(size),
      hasFreeCore: () => this.hasFreeCore(),
      onProgress: (since) => {
        if (!this.isNeeded(layer)) throw new NotNeeded();
        for (const [index, name] of COUNTERS.entries()) {
          const at = thread * COUNTERS.length + index;
          this.#counters[at] = (this.#counters[at] ?? 0) + since[name];
        }
        onProgress();
      },
    };
  }

  /** Of all threads together, since the beginning. */
  total(): Readonly<ReadSince> {
    const sum = (index: number) =>
      this.#counters.reduce((all, count, at) => (at % COUNTERS.length === index ? all + count : all), 0);
    return { stored: sum(0), files: sum(1), directories: sum(2), hashed: sum(3) };
  }
}

/** Ends the reading of a layer that is no longer needed. */
export class NotNeeded extends Error {}
