/**
 * A worker thread of the hash pool: takes the batches that no other thread has, answers with digests or
 * with what went wrong.
 */
import { parentPort } from "node:worker_threads";
import { SealError } from "../errors.ts";
import { type ByteBatch, claim, type FileBatch } from "./hash-batch.ts";
import { type HashedBatch, hashBatch, hashBytes } from "./hash-file.ts";
import { useLibcrypto } from "./libcrypto.ts";
import { noteThreadUp } from "./v8-settings.ts";

/** Files; bytes, whose result goes into their memory; null: there are no more. */
export type HashQuestion = { readonly number: number; readonly batch: FileBatch } | ByteBatch | null;

/**
 * The answer to what this worker has taken. Errors lose their class on the way between threads, so the
 * message travels alone.
 */
export type HashAnswer =
  | ({ readonly kind: "files"; readonly number: number } & HashedBatch)
  | { readonly kind: "bytes" }
  | { readonly kind: "failure"; readonly message: string };

noteThreadUp();
useLibcrypto();
parentPort?.on("message", (question: HashQuestion) => {
  if (question === null) {
    parentPort?.close();
    return;
  }
  if (!claim("batch" in question ? question.batch : question)) return;
  const answer = work(question);
  parentPort?.postMessage(answer, answer.kind === "files" ? [answer.hashes.buffer] : []);
});

function work(question: NonNullable<HashQuestion>): HashAnswer {
  if (!("batch" in question)) {
    hashBytes(question);
    return { kind: "bytes" };
  }
  try {
    return { kind: "files", number: question.number, ...hashBatch(question.batch) };
  } catch (error) {
    if (error instanceof SealError) return { kind: "failure", message: error.message };
    throw error;
  }
}
