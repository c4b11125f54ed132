import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { toHex } from "../../src/bytes.ts";
import { VERITY_HASHES, verityDigest } from "../../src/composefs/verity.ts";
import { hashBatch } from "../../src/io/hash-file.ts";
import { PieceHasher } from "../../src/io/pieces.ts";

const BLOCK = 4096;

/** Hashes when it is asked to end, the last batch first. */
function lazyQueue() {
  const waiting: (() => void)[] = [];
  return {
    queue: (batch: Parameters<typeof hashBatch>[0], store: (branches: Uint8Array) => void) => {
      waiting.push(() => store(hashBatch(batch).hashes));
    },
    finish: async () => {
      for (const hash of waiting.splice(0).reverse()) hash();
    },
    /** How many batches have come. */
    get count() {
      return waiting.length;
    },
  };
}

describe.each(["sha512", "sha256"] as const)("PieceHasher, %s", (algorithm) => {
  const branch = (BLOCK / VERITY_HASHES[algorithm].length) * BLOCK;
  const sizes = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, branch, 2 * branch, 2 * branch + 1, 4 * branch, 5 * branch + 4097];

  it.each(sizes)("has the digest of %d bytes", async (size) => {
    const bytes = randomBytes(size);
    for (const chunk of [size + 1, 100_000]) {
      const hasher = new PieceHasher(algorithm, lazyQueue());
      for (let at = 0; at < size; at += chunk) {
        const part = Uint8Array.prototype.slice.call(bytes, at, at + chunk);
        hasher.update(part);
        part.fill(0);
      }
      expect(toHex(await hasher.digest())).toBe(toHex(verityDigest(bytes, algorithm)));
    }
  });

  it("gives pieces away while more come", () => {
    const queue = lazyQueue();
    const hasher = new PieceHasher(algorithm, queue);
    hasher.update(new Uint8Array(5 * branch));
    expect(queue.count).toBe(2);
  });
});
