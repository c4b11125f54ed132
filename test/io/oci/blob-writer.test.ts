import { createHash, randomFillSync } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { BlobWriter, blobPath } from "../../../src/io/oci/blob-writer.ts";
import { tempDir } from "../../support/temp.ts";

function writerIn(layout: string): BlobWriter {
  mkdirSync(join(layout, "blobs"));
  return new BlobWriter(layout, "out", { links: null, isFlushed: false });
}

/** Sizes that are hashed on this thread and on others. */
const SIZES = [1, 512, 65_535, 65_536, 3 << 20, 0, 7, 5 << 20];

describe("a blob that is written", () => {
  it.each(["sha256", "sha512"] as const)("has its digest, hashed while it is written: %s", async (algorithm) => {
    const layout = tempDir();
    const blobs = writerIn(layout);
    const chunks = SIZES.map((size) => randomFillSync(new Uint8Array(size)));
    const blob = await blobs.add(chunks, algorithm);
    const whole = Buffer.concat(chunks);
    expect(blob).toEqual({
      digest: { algorithm, hex: createHash(algorithm).update(whole).digest("hex") },
      size: whole.length,
    });
    expect(Buffer.compare(readFileSync(join(layout, blobPath(blob.digest))), whole)).toBe(0);
  });

  it("has read a chunk when the next one is asked for: their memory may be the same", async () => {
    const layout = tempDir();
    const memory = new Uint8Array(4 << 20);
    const chunks = function* () {
      for (let number = 1; number <= 8; number++) yield memory.fill(number);
    };
    const { digest } = await writerIn(layout).add(chunks());
    const whole = Buffer.concat([1, 2, 3, 4, 5, 6, 7, 8].map((number) => Buffer.alloc(memory.length, number)));
    expect(digest.hex).toBe(createHash("sha256").update(whole).digest("hex"));
    expect(Buffer.compare(readFileSync(join(layout, blobPath(digest))), whole)).toBe(0);
  });

  it("leaves nothing behind where it can't be made", async () => {
    const layout = tempDir();
    const blobs = writerIn(layout);
    const chunks = function* () {
      yield new Uint8Array(1 << 20);
      throw new Error("no more");
    };
    await expect(blobs.add(chunks())).rejects.toThrow("no more");
    expect(readdirSync(join(layout, "blobs"))).toEqual([]);
  });
});
