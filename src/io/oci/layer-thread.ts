/** A thread that reads or hashes layers, from the side of the one that starts it. */
import type { Worker } from "node:worker_threads";
import { startThread } from "../thread.ts";
import type { ReadAnswer, ReadQuestion } from "./layer-worker.ts";

/** What is made of what a thread says. */
export interface LayerThreadListener {
  /** Null: it is further than before. */
  readonly answer: (answer: ReadAnswer | null) => void;
  readonly error: (error: unknown) => void;
}

export class LayerThread {
  readonly #worker: Worker;
  /** When it has ended, which it does by itself: node aborts the process if one is terminated while it loads koffi. */
  readonly ended: Promise<void>;
  #error: { readonly error: unknown } | null = null;

  /** Starts it. What it is for can be said later. */
  constructor() {
    // The sources run as they are, and built: each form finds the worker in its own.
    const file = import.meta.url.endsWith(".ts") ? "./layer-worker.ts" : "./layer-worker.js";
    this.#worker = startThread(new URL(file, import.meta.url));
    this.#worker.once("error", (error) => {
      this.#error = { error };
    });
    this.ended = new Promise((resolve) => this.#worker.once("exit", () => resolve()));
  }

  /** Gives it all the work that it gets. */
  begin(question: ReadQuestion, listener: LayerThreadListener): void {
    if (this.#error !== null) {
      listener.error(this.#error.error);
      return;
    }
    this.#worker.on("message", listener.answer);
    this.#worker.on("error", listener.error);
    this.#worker.postMessage(question);
  }

  /** Lets it end without any. */
  dismiss(): void {
    this.#worker.postMessage(null);
  }
}
