import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { toHex } from "../../src/bytes.ts";
import { VERITY_HASHES, verityDigest } from "../../src/composefs/verity.ts";
import {
  type ByteBatch,
  bytesIn,
  claim,
  newByteBatch,
  offer,
  storeResult,
  takeResult,
} from "../../src/io/hash-batch.ts";
import { hashBytes } from "../../src/io/hash-file.ts";
import { PieceHasher } from "../../src/io/pieces.ts";

const BLOCK = 4096;

/**
 * Other threads that take what they are told of, in order, when they are said to.
 * @param threads how many, which all are told of all batches
 */
function otherThreads(threads: number) {
  const inboxes: ByteBatch[][] = Array.from({ length: threads }, () => []);
  const memories = new Set<SharedArrayBuffer>();
  /** Has a thread go through its messages until it has hashed something. */
  const work = (thread: number): boolean => {
    const inbox = inboxes[thread] ?? [];
    for (;;) {
      const batch = inbox.shift();
      if (batch === undefined) return false;
      if (!claim(batch)) continue;
      hashBytes(batch);
      return true;
    }
  };
  return {
    memories,
    work,
    queue: {
      post: (batch: ByteBatch) => {
        memories.add(batch.memory);
        for (const inbox of inboxes) inbox.push(batch);
      },
      answer: async () => {
        if (!inboxes.some((_, thread) => work(thread))) throw new Error("nobody is at work");
      },
    },
  };
}

describe.each(["sha512", "sha256"] as const)("PieceHasher, %s", (algorithm) => {
  const branch = (BLOCK / VERITY_HASHES[algorithm].length) * BLOCK;
  const sizes = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, branch, 2 * branch, 2 * branch + 1, 4 * branch, 5 * branch + 4097];

  it.each(sizes)("has the digest of %d bytes", async (size) => {
    const bytes = randomBytes(size);
    for (const chunk of [size + 1, 100_000]) {
      const hasher = new PieceHasher(algorithm, otherThreads(1).queue);
      for (let at = 0; at < size; at += chunk) {
        const part = Uint8Array.prototype.slice.call(bytes, at, at + chunk);
        hasher.update(part);
        part.fill(0);
      }
      expect(toHex(await hasher.digest())).toBe(toHex(verityDigest(bytes, algorithm)));
    }
  });

  it("gives pieces away while more come", () => {
    const threads = otherThreads(1);
    const hasher = new PieceHasher(algorithm, threads.queue);
    hasher.update(new Uint8Array(5 * branch));
    expect([threads.work(0), threads.work(0), threads.work(0)]).toEqual([true, true, false]);
  });
});

describe("the memory of pieces", () => {
  const piece = (2 * BLOCK * BLOCK) / 64;

  // A thread that is behind has messages of memory that another piece is in by now.
  it.each([
    ["nobody else hashes", () => []],
    ["one thread keeps up", () => [0]],
    ["one thread is behind", (count: number) => (count % 7 === 6 ? [0, 0, 0] : [])],
    ["threads take turns", (count: number) => [count % 3]],
    ["one keeps up, one wakes up late", (count: number) => (count > 30 ? [1, 1, 0] : [0])],
  ])("serves one after the other: %s", async (_, turns) => {
    const bytes = randomBytes(40 * piece + 5);
    const threads = otherThreads(3);
    const hasher = new PieceHasher("sha512", threads.queue);
    for (let count = 0; count * piece < bytes.length; count++) {
      hasher.update(bytes.subarray(count * piece, (count + 1) * piece));
      for (const thread of turns(count)) threads.work(thread);
    }
    expect(toHex(await hasher.digest())).toBe(toHex(verityDigest(bytes, "sha512")));
    expect(threads.memories.size).toBeLessThanOrEqual(9);
  });

  it("is not taken while it is filled, nor twice", () => {
    const batch = newByteBatch("sha512", 100, 64);
    expect(claim(batch)).toBe(false);
    offer(batch, 3);
    expect(takeResult(batch)).toBeNull();
    expect([claim(batch), claim(batch)]).toEqual([true, false]);
    expect(bytesIn(batch)).toHaveLength(3);
    storeResult(batch, Uint8Array.of(1, 2));
    expect(claim(batch)).toBe(false);
    expect(takeResult(batch)).toEqual(Uint8Array.of(1, 2));
    expect([claim(batch), takeResult(batch)]).toEqual([false, null]);
  });

  it("is waited for where another thread has the last piece, and its failure is thrown", async () => {
    const taken: ByteBatch[] = [];
    const failed = new PieceHasher("sha512", {
      post: (batch) => void (claim(batch) && taken.push(batch)),
      answer: async () => {
        const batch = taken.pop();
        if (batch === undefined) throw new Error("the thread has ended");
        if (taken.length > 0) hashBytes(batch);
      },
    });
    failed.update(new Uint8Array(3 * piece));
    await expect(failed.digest()).rejects.toThrow("the thread has ended");
  });
});
