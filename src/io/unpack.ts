/**
 * Layers unpacked by a worker thread each. Blocks of memory go back and forth between the threads, so that none is allocated for the bytes
 * that pass, and a reader that falls behind stops the worker.
 */
import { Worker } from "node:worker_threads";
import { SealError } from "../errors.ts";
import { type Layer, type LayerTap, unpackLayer } from "./layer.ts";
import type { UnpackAnswer } from "./unpack-worker.ts";

/** Smaller layers are read before a thread has started. */
const LARGE_LAYER = 4 << 20;
const BLOCK_SIZE = 1 << 20;
/** One that is read, one that is filled, and two on the way. */
const BLOCKS = 4;

/**
 * The archive in a layer, see `unpackLayer`; of a large one from a thread of its own.
 * @param tap with one, the layer is unpacked here
 * @returns chunks that are valid until the next one is asked for
 * @throws SealError `input` for a layer that is damaged or not the one that the image names
 */
export function unpackedLayer(layer: Layer, tap?: LayerTap): AsyncGenerator<Uint8Array> {
  const isHere = tap !== undefined || layer.file.size < LARGE_LAYER;
  return isHere ? unpackLayer(layer, tap) : unpackedElsewhere(layer);
}

async function* unpackedElsewhere(layer: Layer): AsyncGenerator<Uint8Array> {
  // The sources run as they are, and built: each form finds the worker in its own.
  const file = import.meta.url.endsWith(".ts") ? "./unpack-worker.ts" : "./unpack-worker.js";
  const worker = new Worker(new URL(file, import.meta.url), { execArgv: [], workerData: layer });
  const answers: UnpackAnswer[] = [];
  let failure: unknown = null;
  let wake: () => void = () => {};
  worker.on("message", (answer: UnpackAnswer) => {
    answers.push(answer);
    wake();
  });
  worker.on("error", (error) => {
    failure = error;
    wake();
  });
  const giveBack = (block: Uint8Array<ArrayBuffer>) => worker.postMessage(block, [block.buffer]);
  try {
    for (let count = 0; count < BLOCKS; count++) giveBack(new Uint8Array(BLOCK_SIZE));
    for (;;) {
      const answer = answers.shift();
      if (answer?.kind === "end") return;
      if (answer?.kind === "failure") throw new SealError("input", answer.message);
      if (answer !== undefined) {
        yield answer.block.subarray(0, answer.length);
        giveBack(answer.block);
        continue;
      }
      if (failure !== null) throw failure;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    await worker.terminate();
  }
}
