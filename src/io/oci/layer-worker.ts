/** A worker thread that reads layers, those that no other thread has taken, or hashes others. */
import { parentPort } from "node:worker_threads";
import { SealError } from "../../errors.ts";
import { encodeLayer } from "../../tree/layer-codec.ts";
import type { LayerContents } from "../../tree/layer-contents.ts";
import { neverInterrupt } from "../libc.ts";
import { useLibcrypto } from "../libcrypto.ts";
import { loadAsAtStart, noteThreadUp } from "../v8-settings.ts";
import type { Layer } from "./layer.ts";
import {
  hashOnly,
  hashOnlyHere,
  type LayerReading,
  type ReadingPort,
  type ReadSince,
  readContents,
} from "./read-contents.ts";
import { NotNeeded, ReadingState } from "./reading-state.ts";
import { PieceMemory } from "./stored-file.ts";

/** What this thread is given, once. */
export interface ReadQuestion {
  readonly work: LayerWork;
  readonly reading: LayerReading;
  /** Of the {@link ReadingState}. */
  readonly memory: SharedArrayBuffer;
}

/** What is to be done with which layers, in the order in which they are taken. */
export type LayerWork = {
  readonly layers: readonly NumberedLayer[];
  /** Its own number among the threads. */
  readonly thread: number;
} & (
  | { readonly kind: "read" }
  /**
   * They are only hashed: so many at the same time, on the threads that node has for files; one at a time on this one,
   * which saves the way there and back for each piece.
   */
  | { readonly kind: "hash"; readonly atOnce: number }
);

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
  /** It was only hashed. */
  | { readonly number: number; readonly encoded: null }
  | { readonly number: number; readonly failure: string };

// No more is said to this thread, so it ends when it has nothing left to do.
noteThreadUp();
parentPort?.once("message", (question: ReadQuestion | null) => {
  // Nothing was left for it.
  if (question === null) return;
  const { work, reading, memory } = question;
  const state = new ReadingState(memory);
  if (work.kind === "read") {
    loadAsAtStart(useLibcrypto);
    state.reader(() => readFree(work, reading, state));
    return;
  }
  neverInterrupt();
  const hash = work.atOnce === 1 ? hashOnlyHere : hashOnly;
  for (let count = 0; count < work.atOnce; count++) hashFree(work, state, hash);
});

async function readFree({ layers, thread }: LayerWork, reading: LayerReading, state: ReadingState): Promise<void> {
  for (let next = layers[state.next()]; next !== undefined; next = layers[state.next()]) {
    await answer(next, thread, state, async ({ number, layer }, port) => {
      const { contents, ...entries } = await readContents(layer, reading, port);
      return { number, encoded: encodeLayer(entries), contents };
    });
  }
}

/** Hashes one layer after the other, of those that others hash, too. */
async function hashFree(
  { layers, thread }: LayerWork,
  state: ReadingState,
  hash: typeof hashOnly | typeof hashOnlyHere,
): Promise<void> {
  let unsaid = 0;
  const note = ({ stored }: ReadSince) => {
    unsaid += stored;
    if (unsaid < SAID_AFTER) return;
    unsaid = 0;
    say(null);
  };
  const memory = new PieceMemory();
  for (let next = layers[state.nextKnown()]; next !== undefined; next = layers[state.nextKnown()]) {
    await answer(next, thread, state, async ({ number, layer }, port) => {
      const onProgress = (since: ReadSince) => {
        port.onProgress(since);
        note(since);
      };
      await hash(layer, { onProgress }, memory);
      return { number, encoded: null };
    });
  }
}
/** How many bytes are hashed before the other thread hears of it, which reads nothing meanwhile. */
const SAID_AFTER = 16 << 20;

/** A failure that is not a {@link SealError} is a bug: it is not caught, and the thread ends with it. */
async function answer(
  layer: NumberedLayer,
  thread: number,
  state: ReadingState,
  work: (layer: NumberedLayer, port: ReadingPort) => Promise<ReadAnswer>,
): Promise<void> {
  const { number } = layer;
  if (!state.isNeeded(number)) return;
  try {
    say(await work(layer, state.port(thread, number)));
  } catch (error) {
    if (error instanceof NotNeeded) return;
    state.fail(number);
    if (!(error instanceof SealError)) throw error;
    say({ number, failure: error.message });
  }
}

function say(answer: ReadAnswer | null): void {
  const moved = answer !== null && "contents" in answer ? [answer.encoded, ...answer.contents.values()] : [];
  parentPort?.postMessage(
    answer,
    moved.map(({ buffer }) => buffer).filter((buffer) => buffer instanceof ArrayBuffer),
  );
}
