/**
 * A worker thread of the hash pool: takes the batches that no other thread has, answers with digests or
 * with what went wrong.
 */
import { parentPort } from "node:worker_threads";
import { SealError } from "../errors.ts";
import { type Batch, claim } from "./hash-batch.ts";
import { type HashedBatch, hashBatch } from "./hash-file.ts";
import { useLibcrypto } from "./libcrypto.ts";
import { noteThreadUp } from "./v8-settings.ts";

/** A batch; null: there are no more. */
export type HashQuestion = { readonly number: number; readonly batch: Batch } | null;

/**
 * The answer to a batch that this worker had. Errors lose their class on the way between threads, so the
 * message travels alone.
 */
export type HashAnswer =
  | ({ readonly number: number } & HashedBatch)
  | { readonly number: number; readonly failure: string };

noteThreadUp();
useLibcrypto();
parentPort?.on("message", (question: HashQuestion) => {
  if (question === null) {
    parentPort?.close();
    return;
  }
  const { number, batch } = question;
  if (!claim(batch)) return;
  const answer = work(number, batch);
  parentPort?.postMessage(answer, "hashes" in answer ? [answer.hashes.buffer] : []);
});

function work(number: number, batch: Batch): HashAnswer {
  try {
    return { number, ...hashBatch(batch) };
  } catch (error) {
    if (error instanceof SealError) return { number, failure: error.message };
    throw error;
  }
}
