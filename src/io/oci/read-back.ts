/**
 * Hashes layers of an image that is being written as soon as their blobs are in place: another thread does that while
 * this one makes what is still missing. When the whole image is read back, these files have been.
 */
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import { SealError } from "../../errors.ts";
import { formatBlobDigest } from "../../oci/digest.ts";
import type { Blob } from "../../oci/edit.ts";
import { blobPath } from "./blob-writer.ts";
import type { Layer } from "./layer.ts";
import { LayerThread } from "./layer-thread.ts";
import { isWorthHashThread } from "./layer-threads.ts";
import type { NumberedLayer, ReadAnswer } from "./layer-worker.ts";
import type { LayerReading } from "./read-contents.ts";
import { ReadingState } from "./reading-state.ts";

/** They are only hashed. */
const NOT_READ: LayerReading = { algorithm: null, paxOwners: "count", needs: "digest" };

interface Begun extends NumberedLayer {
  readonly result: PromiseWithResolvers<null>;
}

/** Layers of an image that is being written, which are hashed as soon as they are in place. */
export class ReadBack {
  readonly #layout: string;
  readonly #begun: Begun[] = [];
  readonly #works: { readonly state: ReadingState; readonly thread: LayerThread }[] = [];

  /** @param layout where the image is written and read back, absolute */
  constructor(layout: string) {
    this.#layout = layout;
  }

  /**
   * Begins to hash layers, unless they are not worth a thread.
   * @param blobs in place, lowest first
   * @param jobs threads at most, this one included; with one, nothing is done
   */
  begin(blobs: readonly Blob[], jobs = availableParallelism()): void {
    const before = this.#begun.length;
    const layers = blobs.map((blob, index): Begun => {
      const result = Promise.withResolvers<null>();
      // Thrown where it is asked for.
      result.promise.catch(() => {});
      return { number: before + index, layer: this.#layerOf(blob), result };
    });
    if (!isWorthHashThread(layers, jobs)) return;
    this.#begun.push(...layers);
    const fail = (error: unknown) => {
      for (const { result } of layers) result.reject(error);
    };
    const note = (answer: ReadAnswer | null) => {
      if (answer === null) return;
      const result = this.#begun[answer.number]?.result;
      if ("failure" in answer) result?.reject(new SealError("input", answer.failure));
      else result?.resolve(null);
    };
    const state = new ReadingState(1);
    const thread = new LayerThread();
    this.#works.push({ state, thread });
    const numbered = layers.map(({ number, layer }) => ({ number, layer }));
    const work = { kind: "hash", layers: numbered, thread: 0, atOnce: 1 } as const;
    thread.begin({ work, reading: NOT_READ, memory: state.memory }, { answer: note, error: fail });
    void thread.ended.then(() => fail(new Error("a thread ended without an answer")));
  }

  /**
   * @returns null where this file is not hashed here; else a promise that rejects as `hashLayer` does. Ask for the lowest
   *   first: when one is not what it should be, those above it are not hashed any more.
   */
  of({ file, digest }: Pick<Layer, "file" | "digest">): Promise<null> | null {
    const found = this.#begun.find(
      ({ layer }) =>
        layer.file.path === file.path &&
        layer.file.start === file.start &&
        layer.file.size === file.size &&
        layer.digest?.algorithm === digest?.algorithm &&
        layer.digest?.hex === digest?.hex,
    );
    return found?.result.promise ?? null;
  }

  /** Ends its threads, which give up what they hash. */
  async close(): Promise<void> {
    for (const { state } of this.#works) state.fail(-1);
    await Promise.all(this.#works.map(({ thread }) => thread.ended));
  }

  /** As it is found when the image is read back. */
  #layerOf({ digest, size }: Blob): Layer {
    const subject = `oci:${basename(this.#layout)}: layer ${formatBlobDigest(digest)}`;
    const file = { subject, path: join(this.#layout, blobPath(digest)), start: 0, size };
    return { file, digest, diffId: null, mediaType: null, negativeTimes: false };
  }
}
