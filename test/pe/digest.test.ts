import { createHash, randomFillSync } from "node:crypto";
import { describe, expect, it } from "vitest";
import { toHex } from "../../src/bytes.ts";
import { type Chunks, StoredBytes, sliceChunks } from "../../src/chunks.ts";
import { digestOf, sha256Hex } from "../../src/pe/digest.ts";

const ALGORITHMS = ["sha1", "sha256", "sha384", "sha512"] as const;

function expected(algorithm: string, bytes: Uint8Array): string {
  return createHash(algorithm).update(bytes).digest("hex");
}

describe("digestOf", () => {
  it.each([0, 5, 1 << 20, (3 << 20) + 1])("is the hash of %i bytes, each time that it is asked for", (length) => {
    const bytes = randomFillSync(Buffer.alloc(length));
    const half = length >> 1;
    const stored = new StoredBytes((into, at) => into.set(bytes.subarray(at, at + into.length)), length);
    const contents: Chunks[] = [[bytes], [bytes.subarray(0, half), bytes.subarray(half)], stored];
    for (const algorithm of [...ALGORITHMS, ...ALGORITHMS]) {
      for (const content of contents) expect(toHex(digestOf(algorithm, content))).toBe(expected(algorithm, bytes));
    }
  });

  it("tells parts of the same memory apart", () => {
    const bytes = randomFillSync(Buffer.alloc(4 << 20));
    const list = [bytes.subarray(0, 3 << 20), bytes.subarray(3 << 20)];
    const ranges = [0, 1, 1 << 20].flatMap((start) => [2 << 20, (2 << 20) + 1].map((end) => [start, end] as const));
    for (const [start, end] of [...ranges, ...ranges]) {
      expect(sha256Hex(sliceChunks(list, start, end))).toBe(expected("sha256", bytes.subarray(start, end)));
    }
  });
});
