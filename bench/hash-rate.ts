/**
 * Prints how many bytes a second go through the hash when the pool reads and hashes the files of a tree, all cores, its
 * workers already up. What is hashed are whole blocks, those of the Merkle trees too, and a descriptor for each file.
 */
import { lstatSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { HashPool } from "../src/io/hash-pool.ts";
import { emptyStat, lstat } from "../src/io/libc.ts";
import { INLINE_LIMIT } from "../src/tree/node.ts";

const BLOCK = 4096;
const DESCRIPTOR = 256;
const HASHES_PER_BLOCK = BLOCK / 64;

const files: { path: string; identity: Uint32Array; size: number }[] = [];
const pending = [process.argv[2] ?? ""];
for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
  for (const name of readdirSync(Buffer.from(directory, "latin1"), { encoding: "latin1" })) {
    const path = `${directory}/${name}`;
    const stat = lstatSync(Buffer.from(path, "latin1"));
    if (stat.isDirectory()) pending.push(path);
    if (!stat.isFile() || stat.size <= INLINE_LIMIT) continue;
    const { identity, size } = exactStat(path);
    files.push({ path, identity, size });
  }
}

const pool = new HashPool("sha512", availableParallelism());
// The first files start the workers.
const measured = files.splice(500);
await hashAll(files);
await sleep(300);
const start = performance.now();
await hashAll(measured);
const seconds = (performance.now() - start) / 1000;
await pool.close();
const bytes = measured.reduce((sum, { size }) => sum + hashedBytes(size), 0);
process.stdout.write(`${Math.round(bytes / seconds)}\n`);

function exactStat(path: string): ReturnType<typeof emptyStat> {
  const stat = emptyStat();
  lstat(Buffer.from(`${path}\0`, "latin1"), stat);
  return stat;
}

async function hashAll(list: typeof files): Promise<void> {
  for (const { path, identity, size } of list) pool.add(Buffer.from(path, "latin1"), identity, size);
  await pool.finish();
}

function hashedBytes(size: number): number {
  let blocks = Math.ceil(size / BLOCK);
  let sum = blocks * BLOCK + DESCRIPTOR;
  while (blocks > 1) {
    blocks = Math.ceil(blocks / HASHES_PER_BLOCK);
    sum += blocks * BLOCK;
  }
  return sum;
}
