/** Threads: how they are started, and those that are asked one question, answer it and end. */
import { parentPort, Worker, workerData } from "node:worker_threads";
import { noteSilent } from "./silent-threads.ts";
import { noteThreadStarts } from "./v8-settings.ts";

/** What a thread says, and the memory that goes over to the thread that asked. */
export interface ThreadAnswer<Result> {
  readonly result: Result;
  readonly moved: readonly ArrayBuffer[];
}

/**
 * Starts a thread.
 * @param file its script, which calls `noteThreadUp` when it is up
 * @param question its `workerData`
 */
export function startThread(file: URL, question?: unknown): Worker {
  noteThreadStarts();
  // It writes nothing: node need not open this thread's streams for that.
  const worker = new Worker(file, { execArgv: [], workerData: question, stdout: true, stderr: true });
  const noteSpoken = noteSilent(worker);
  return worker.once("message", noteSpoken).once("exit", noteSpoken);
}

/**
 * Starts a thread with a question. It begins at once, whatever this thread does next.
 * @param file the script of the thread, which calls {@link answerQuestion}
 * @returns its result
 */
export function askThread<Question, Result>(file: URL, question: Question): Promise<Result> {
  const worker = startThread(file, question);
  return new Promise((resolve, reject) => {
    worker.once("message", (result: Result) => resolve(result));
    worker.once("error", reject);
    worker.once("exit", () => reject(new Error("a thread ended without an answer")));
  });
}

/**
 * Answers the question that this thread was started with. A failure ends the thread, and is thrown where it was asked.
 */
export async function answerQuestion<Question, Result>(
  work: (question: Question) => Promise<ThreadAnswer<Result>>,
): Promise<void> {
  const { result, moved } = await work(workerData as Question);
  parentPort?.postMessage(result, moved);
}
