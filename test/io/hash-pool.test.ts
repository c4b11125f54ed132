import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import { describe, expect, it, onTestFinished } from "vitest";
import { toHex, utf8 } from "../../src/bytes.ts";
import { verityDigest } from "../../src/composefs/verity.ts";
import { HashPool } from "../../src/io/hash-pool.ts";
import { emptyStat, type FileIdentity, lstat } from "../../src/io/libc.ts";
import { tempDir } from "../support/temp.ts";

const SIZE = 64 << 20;

/** A file of zeros. */
function sparseFile(size: number): { readonly path: Uint8Array; readonly identity: FileIdentity } {
  const path = join(tempDir(), "file");
  writeFileSync(path, "");
  truncateSync(path, size);
  const stat = emptyStat();
  lstat(utf8(`${path}\0`), stat);
  return { path: utf8(path), identity: stat.identity };
}

/** Counts the threads that start from here on. */
function countThreads(): { readonly exits: readonly Promise<unknown[]>[] } {
  const exits: Promise<unknown[]>[] = [];
  const noteWorker = (worker: Worker) => void exits.push(once(worker, "exit"));
  process.on("worker", noteWorker);
  onTestFinished(() => void process.off("worker", noteWorker));
  return { exits };
}

describe("HashPool", () => {
  it("starts its threads once the files that are still to come are likely to be worth it", async () => {
    const { path, identity } = sparseFile(2 << 20);
    const { exits } = countThreads();
    const pool = new HashPool("sha512", 2);
    pool.expect(0.001);
    pool.add(path, identity, 2 << 20);
    pool.expect(0.5);
    await setTimeout();
    expect(exits).toHaveLength(0);
    pool.expect(0.01);
    pool.expect(0.01);
    await setTimeout();
    expect(exits).toHaveLength(1);
    await pool.finish();
    await pool.close();
    expect(await Promise.all(exits)).toEqual([[0]]);
  });

  it.each([
    ["without threads", 1, 0],
    ["with threads that hash, too", 3, 2],
  ])("hashes bytes that come meanwhile, %s", async (_, jobs, threads) => {
    const { path, identity } = sparseFile(SIZE);
    const { exits } = countThreads();
    let hashed = 0;
    const pool = new HashPool("sha512", jobs, (bytes) => {
      hashed += bytes;
    });
    const file = pool.add(path, identity, SIZE);
    const images = [randomBytes(4096), randomBytes(3_000_000)];
    // Some of it before the file has its digest.
    const hashers = images.map(() => pool.hasher("sha512"));
    for (const [index, image] of images.entries()) hashers[index]?.update(image);
    await pool.finish();
    expect(hashed).toBe(SIZE);
    expect(toHex(file.digest)).toBe(toHex(verityDigest(new Uint8Array(SIZE), "sha512")));
    for (const [index, image] of images.entries()) {
      expect(toHex((await hashers[index]?.digest()) ?? new Uint8Array())).toBe(toHex(verityDigest(image, "sha512")));
    }
    expect(hashed).toBe(SIZE);
    await pool.close();
    expect(exits).toHaveLength(threads);
  });

  it("lets its threads end by themselves, whenever it is given up", async () => {
    const { path, identity } = sparseFile(SIZE);
    const { exits } = countThreads();
    // Node aborts the whole process when a thread is terminated while it loads native code, which it does
    // soon after its start.
    for (const wait of [0, 20, 60, 200]) {
      const pool = new HashPool("sha512", 3);
      pool.add(path, identity, SIZE);
      await setTimeout(wait);
      await pool.close();
    }
    // Terminated threads exit with 1.
    expect(await Promise.all(exits)).toEqual(Array(8).fill([0]));
  });
});
