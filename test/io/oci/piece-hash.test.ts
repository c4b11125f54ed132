import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { pieceHash } from "../../../src/io/oci/piece-hash.ts";

const WHOLE = Buffer.from(Array.from({ length: 5 << 16 }, (_, at) => at * 7 + (at >>> 8)));
const missing = (prototype: string) => {
  throw new Error(`Cannot find function '${prototype}' in shared library`);
};

describe("the hash of a stream", () => {
  it.each([
    ["libcrypto", undefined],
    ["node:crypto", missing],
  ])("is the same by %s, whatever pieces it comes in", async (_, find) => {
    for (const algorithm of ["sha256", "sha512"]) {
      for (const size of [1, 1000, 70_000, WHOLE.length]) {
        const hash = pieceHash(algorithm, find);
        const end = Math.min(WHOLE.length, 200 * size);
        for (let start = 0; start < end; start += size) await hash.update(WHOLE.subarray(start, start + size));
        const expected = createHash(algorithm).update(WHOLE.subarray(0, end));
        expect(hash.digest()).toBe(expected.digest("hex"));
        hash.free();
      }
    }
  });

  it("is computed on another thread where a piece is large", () => {
    const hash = pieceHash("sha256");
    expect(hash.update(WHOLE.subarray(0, 100))).toBeNull();
    const hashing = hash.update(WHOLE);
    expect(hashing).toBeInstanceOf(Promise);
    return hashing?.then(() => hash.free());
  });
});
