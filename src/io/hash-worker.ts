/** A worker thread of the hash pool: takes batches, answers with digests or with what went wrong. */
import { parentPort } from "node:worker_threads";
import { SealError } from "../errors.ts";
import { type Batch, hashBatch } from "./hash-file.ts";

/** The answer to one batch. Errors lose their class on the way between threads, so the message travels alone. */
export type Answer = { readonly digests: Uint8Array<ArrayBuffer> } | { readonly failure: string };

parentPort?.on("message", (batch: Batch) => {
  const answer = work(batch);
  parentPort?.postMessage(answer, "digests" in answer ? [answer.digests.buffer] : []);
});

function work(batch: Batch): Answer {
  try {
    const steps = hashBatch(batch);
    let step = steps.next();
    while (step.done !== true) step = steps.next();
    return { digests: step.value };
  } catch (error) {
    if (error instanceof SealError) return { failure: error.message };
    throw error;
  }
}
