import { createHash } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import { toHex } from "../../src/bytes.ts";
import { cryptoMemory, hashWith } from "../../src/composefs/hash-memory.ts";
import { verityDigest } from "../../src/composefs/verity.ts";
import { nativeMemory, useLibcrypto } from "../../src/io/libcrypto.ts";

const SIZE = 3 * 4096;

afterEach(() => hashWith(cryptoMemory));

describe.each(["sha512", "sha256"] as const)("%s in place", (algorithm) => {
  it("is what node:crypto computes, by the functions of this node", () => {
    const memory = nativeMemory(algorithm, SIZE);
    expect(memory?.bytes).toEqual(new Uint8Array(SIZE));
    if (memory === null) return;
    const other = cryptoMemory(algorithm, SIZE);
    for (const { bytes } of [memory, other]) for (let at = 0; at < SIZE; at++) bytes[at] = at * 7 + (at >>> 8);
    for (const [from, length, to] of [
      [0, 4096, 4096],
      [4096, 4096, 2 * 4096],
      [1, 255, SIZE - 64],
      [4000, 0, 5000],
    ] as const) {
      const expected = createHash(algorithm)
        .update(memory.bytes.subarray(from, from + length))
        .digest();
      for (const { bytes, hash } of [memory, other]) {
        hash(from, length, to);
        expect(toHex(bytes.subarray(to, to + expected.length))).toBe(toHex(expected));
      }
    }
    expect(Buffer.compare(memory.bytes, other.bytes)).toBe(0);
  });

  it("is left to node:crypto where node does not have the functions, or has others by these names", () => {
    const missing = (prototype: string) => {
      throw new Error(`Cannot find function '${prototype}' in shared library`);
    };
    expect(nativeMemory(algorithm, SIZE, missing)).toBeNull();
    expect(nativeMemory(algorithm, SIZE, () => () => 1)).toBeNull();
  });

  it("makes the same fs-verity digests, also for memory that was in use before", () => {
    const files = [0, 1, 4096, 4097, 300_000, (1 << 20) + 5].map((size) => Buffer.alloc(size, "seal"));
    const digests = () => files.map((bytes) => toHex(verityDigest(bytes, algorithm)));
    const before = digests();
    useLibcrypto();
    expect(digests()).toEqual(before);
    expect(digests()).toEqual(before);
  });

  it("counts at once, whatever was hashed before", () => {
    verityDigest(Buffer.from("before"), algorithm);
    let made = 0;
    hashWith((...of) => {
      made++;
      return cryptoMemory(...of);
    });
    for (const text of ["after", "and again"]) verityDigest(Buffer.from(text), algorithm);
    expect(made).toBe(1);
  });
});
