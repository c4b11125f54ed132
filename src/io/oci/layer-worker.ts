/** A worker thread that reads layers: those that no other thread has taken, until there are no more. */
import { parentPort } from "node:worker_threads";
import { SealError } from "../../errors.ts";
import { encodeLayer } from "../../tree/layer-codec.ts";
import type { LayerContents } from "../../tree/layer-contents.ts";
import { useLibcrypto } from "../libcrypto.ts";
import type { Layer } from "./layer.ts";
import { type LayerReading, readContents } from "./read-contents.ts";
import { NotNeeded, ReadingState } from "./reading-state.ts";

/** What this thread is given, once. */
export interface ReadQuestion {
  /** In the order in which they are taken. */
  readonly layers: readonly NumberedLayer[];
  readonly reading: LayerReading;
  /** Of the {@link ReadingState}. */
  readonly memory: SharedArrayBuffer;
  /** Its own number among the threads. */
  readonly thread: number;
}

export interface NumberedLayer {
  /** In the image, from 0 for the lowest. */
  readonly number: number;
  readonly layer: Layer;
}

/**
 * What this thread says of a layer. Errors lose their class on the way between threads, so the message travels alone.
 */
export type ReadAnswer =
  | {
      readonly number: number;
      /** See {@link encodeLayer}. */
      readonly encoded: Uint8Array<ArrayBuffer>;
      readonly contents: LayerContents["contents"];
    }
  | { readonly number: number; readonly failure: string };

useLibcrypto();
// No more is said to this thread, so it ends when it has nothing left to read.
parentPort?.once("message", ({ layers, reading, memory, thread }: ReadQuestion) => {
  readFree(layers, reading, new ReadingState(memory), thread);
});

/** A failure that is not a {@link SealError} is a bug: it is not caught, and the thread ends with it. */
async function readFree(
  layers: readonly NumberedLayer[],
  reading: LayerReading,
  state: ReadingState,
  thread: number,
): Promise<void> {
  for (let next = layers[state.next()]; next !== undefined; next = layers[state.next()]) {
    const { number, layer } = next;
    if (!state.isNeeded(number)) continue;
    const port = state.port(thread, number);
    try {
      const { contents, ...entries } = await readContents(layer, reading, port);
      say({ number, encoded: encodeLayer(entries), contents });
    } catch (error) {
      if (error instanceof NotNeeded) continue;
      state.fail(number);
      if (!(error instanceof SealError)) throw error;
      say({ number, failure: error.message });
    }
  }
}

function say(answer: ReadAnswer): void {
  const moved = "encoded" in answer ? [answer.encoded, ...answer.contents.values()] : [];
  parentPort?.postMessage(
    answer,
    moved.map(({ buffer }) => buffer as ArrayBuffer),
  );
}
