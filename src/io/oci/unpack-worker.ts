/** A worker thread that unpacks layers and checks their digests on the way, so that they cost the thread that reads the layers nothing. */
import { parentPort } from "node:worker_threads";
import { SealError } from "../../errors.ts";
import { type Layer, unpackLayer } from "./layer.ts";

/** What this thread is told: to unpack a layer when it has done with the one before, or that the reader has done with a block. */
export type UnpackQuestion =
  | { readonly kind: "layer"; readonly layer: Layer }
  | { readonly kind: "block"; readonly block: Uint8Array<ArrayBuffer> };

/** What this thread says. A block has its first `length` bytes filled; the last answer for a layer is an end or a failure. */
export type UnpackAnswer =
  | {
      readonly kind: "block";
      readonly block: Uint8Array<ArrayBuffer>;
      readonly length: number;
      /** See `StoredListener`. */
      readonly stored: number;
    }
  /** With the bytes of the archive. */
  | { readonly kind: "end"; readonly unpacked: number }
  /** Errors lose their class on the way between threads, so the message travels alone. */
  | { readonly kind: "failure"; readonly message: string };

const free: Uint8Array<ArrayBuffer>[] = [];
let wake: () => void = () => {};

parentPort?.on("message", (question: UnpackQuestion) => {
  switch (question.kind) {
    case "layer":
      answer(question.layer);
      return;
    case "block":
      free.push(question.block);
      wake();
  }
});

/** A failure that is no {@link SealError} is one of the program: nobody catches it, and the thread ends with it. */
async function answer(layer: Layer): Promise<void> {
  try {
    await unpack(layer);
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    say({ kind: "failure", message: error.message });
  }
}

async function unpack(layer: Layer): Promise<void> {
  let block = await freeBlock();
  let length = 0;
  let stored = 0;
  let unpacked = 0;
  const onUnpacked = (bytes: number) => {
    unpacked = bytes;
  };
  const onStored = (bytes: number) => {
    stored = bytes;
  };
  for await (const chunk of unpackLayer(layer, onStored, onUnpacked)) {
    for (let rest = chunk; rest.length > 0; ) {
      const part = rest.subarray(0, block.length - length);
      block.set(part, length);
      length += part.length;
      rest = rest.subarray(part.length);
      if (length < block.length) break;
      say({ kind: "block", block, length, stored });
      block = await freeBlock();
      length = 0;
    }
  }
  say({ kind: "block", block, length, stored });
  say({ kind: "end", unpacked });
}

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
