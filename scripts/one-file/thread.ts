/**
 * What each thread of the single executable begins with: it runs the chunk that it is told, with koffi's native code
 * that the process has unpacked.
 */
import { workerData } from "node:worker_threads";
import { outside, runModule, type ThreadData } from "./assets.ts";

const { chunk, native }: ThreadData = workerData;
runModule(
  chunk,
  outside(
    () => undefined,
    () => native,
  ),
);
