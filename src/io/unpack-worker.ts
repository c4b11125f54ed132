/** A worker thread that unpacks one layer and checks its digests on the way, so that they cost the thread that reads the layer nothing. */
import { parentPort, workerData } from "node:worker_threads";
import { SealError } from "../errors.ts";
import { type Layer, unpackLayer } from "./layer.ts";

/** What this thread says. A block has its first `length` bytes filled; the last answer is an end or a failure. */
export type UnpackAnswer =
  | { readonly kind: "block"; readonly block: Uint8Array<ArrayBuffer>; readonly length: number }
  | { readonly kind: "end" }
  /** Errors lose their class on the way between threads, so the message travels alone. */
  | { readonly kind: "failure"; readonly message: string };

const free: Uint8Array<ArrayBuffer>[] = [];
let wake: () => void = () => {};

parentPort?.on("message", (block: Uint8Array<ArrayBuffer>) => {
  free.push(block);
  wake();
});

/** The next block that the reader has done with. */
async function freeBlock(): Promise<Uint8Array<ArrayBuffer>> {
  for (;;) {
    const block = free.pop();
    if (block !== undefined) return block;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
}

function say(answer: UnpackAnswer): void {
  parentPort?.postMessage(answer, answer.kind === "block" ? [answer.block.buffer] : []);
}

async function unpack(layer: Layer): Promise<void> {
  let block = await freeBlock();
  let length = 0;
  for await (const chunk of unpackLayer(layer)) {
    for (let rest = chunk; rest.length > 0; ) {
      const part = rest.subarray(0, block.length - length);
      block.set(part, length);
      length += part.length;
      rest = rest.subarray(part.length);
      if (length < block.length) break;
      say({ kind: "block", block, length });
      block = await freeBlock();
      length = 0;
    }
  }
  say({ kind: "block", block, length });
  say({ kind: "end" });
}

try {
  await unpack(workerData as Layer);
} catch (error) {
  if (!(error instanceof SealError)) throw error;
  say({ kind: "failure", message: error.message });
}
// Nothing is waited for any more.
parentPort?.close();
