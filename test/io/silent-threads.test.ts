import { once } from "node:events";
import { expect, it } from "vitest";
import { haveAllSpoken } from "../../src/io/silent-threads.ts";
import { startThread } from "../../src/io/thread.ts";

const thread = (script: string) =>
  startThread(new URL(`data:text/javascript,import { parentPort } from "node:worker_threads"; ${script}`));

it("knows which threads have not said anything yet", async () => {
  expect(haveAllSpoken()).toBe(true);
  const talking = thread(`parentPort.postMessage("first"); parentPort.once("message", () => {});`);
  const quiet = thread(`parentPort.once("message", () => {});`);
  expect(haveAllSpoken()).toBe(false);
  await once(talking, "message");
  expect(haveAllSpoken()).toBe(false);
  quiet.postMessage("end");
  await once(quiet, "exit");
  expect(haveAllSpoken()).toBe(true);
  talking.postMessage("end");
  await once(talking, "exit");
});
