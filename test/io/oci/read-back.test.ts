/** Layers that are hashed while the rest of an image is written. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import { describe, expect, it, onTestFinished } from "vitest";
import { blobPath } from "../../../src/io/oci/blob-writer.ts";
import { ReadBack } from "../../../src/io/oci/read-back.ts";
import { wholeFile } from "../../../src/io/oci/stored-file.ts";
import type { BlobDigest } from "../../../src/oci/digest.ts";
import { tempDir } from "../../support/temp.ts";

/** More than is hashed without another thread. */
const LARGE = 65 << 20;

/** A layout, and a function that writes a blob to it, perhaps as something else. */
function layoutWithBlobs() {
  const layout = join(tempDir(), "layout");
  mkdirSync(join(layout, "blobs/sha256"), { recursive: true });
  const write = async (bytes: Uint8Array, stored = bytes) => {
    const digest: BlobDigest = { algorithm: "sha256", hex: createHash("sha256").update(bytes).digest("hex") };
    const path = join(layout, blobPath(digest));
    writeFileSync(path, stored);
    return { digest, size: stored.length, file: await wholeFile("blob", path) };
  };
  return { layout, write };
}

function changedAt(bytes: Uint8Array, at: number): Uint8Array {
  const changed = Uint8Array.from(bytes);
  changed[at] = (changed[at] ?? 0) ^ 1;
  return changed;
}

describe("ReadBack", () => {
  it("hashes layers, and knows those files only", async () => {
    const { layout, write } = layoutWithBlobs();
    const large = await write(new Uint8Array(LARGE));
    const small = await write(Buffer.from("small"));
    const readBack = new ReadBack(layout);
    readBack.begin([large, small], 2);
    for (const blob of [large, small]) await expect(readBack.of(blob)).resolves.toBeNull();
    const { digest, file } = large;
    const other = { ...digest, hex: digest.hex.replaceAll("0", "1") };
    expect([
      readBack.of({ digest: other, file }),
      readBack.of({ digest: null, file }),
      readBack.of({ digest, file: { ...file, path: `${file.path}.other` } }),
      readBack.of({ digest, file: { ...file, start: 1 } }),
      readBack.of({ digest, file: { ...file, size: 1 } }),
    ]).toEqual([null, null, null, null, null]);
    await readBack.close();
  });

  it.each([0, LARGE >> 1, LARGE - 1])("finds a byte that is not as it was written, at %i", async (at) => {
    const { layout, write } = layoutWithBlobs();
    const bytes = new Uint8Array(LARGE);
    const sound = await write(Buffer.from("sound"));
    const damaged = await write(bytes, changedAt(bytes, at));
    const above = await write(Buffer.from("above"));
    const readBack = new ReadBack(layout);
    readBack.begin([sound, damaged, above], 2);
    await expect(readBack.of(sound)).resolves.toBeNull();
    // As it is called where the whole image is read.
    const message = new RegExp(`^oci:layout: layer sha256:${damaged.digest.hex}: the blob has the digest sha256:`);
    await expect(readBack.of(damaged)).rejects.toThrow(message);
    await expect(readBack.of(damaged)).rejects.toMatchObject({ code: "input" });
    // It is not hashed any more, which must not be taken for success.
    await expect(readBack.of(above)).rejects.toThrow();
    await readBack.close();
  });

  it("leaves what is not worth a thread to the reader, and all where there is one thread only", async () => {
    const { layout, write } = layoutWithBlobs();
    const [small, large] = [await write(Buffer.from("small")), await write(new Uint8Array(LARGE))];
    const readBack = new ReadBack(layout);
    readBack.begin([small], 2);
    readBack.begin([small, large], 1);
    expect([readBack.of(small), readBack.of(large)]).toEqual([null, null]);
    await readBack.close();
  });

  it("ends by itself, whenever it is given up", async () => {
    const { layout, write } = layoutWithBlobs();
    const large = await write(new Uint8Array(LARGE));
    const exits: Promise<unknown[]>[] = [];
    const noteWorker = (worker: Worker) => void exits.push(once(worker, "exit"));
    process.on("worker", noteWorker);
    onTestFinished(() => void process.off("worker", noteWorker));
    for (const wait of [0, 20, 60, 200]) {
      const readBack = new ReadBack(layout);
      readBack.begin([large], 2);
      await setTimeout(wait);
      await readBack.close();
    }
    expect(await Promise.all(exits)).toEqual(Array(4).fill([0]));
  });
});
