/** Reads a gzip layer as seal does, but for what is in its archive: on one thread, or on several. */
import { closeSync, openSync, readSync } from "node:fs";
import { open } from "node:fs/promises";
import { setImmediate as giveWay } from "node:timers/promises";
import { addressOf, sha512 } from "./calls.ts";
import { beside, Gunzip, inflate, Sha256 } from "./stream-calls.ts";

const BLOCK = 4096;

/** Memory, and where it is. */
class Memory {
  readonly bytes: Uint8Array;
  readonly at: number;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.at = addressOf(this.bytes);
  }
}

/** A context of SHA-512, and after it the hash. */
const work = new Memory(512);

/** Adds a part of an archive, and hashes its blocks. */
function hashPart(archive: Sha256, from: number, length: number): void {
  archive.add(from, length);
  for (let at = from; at < from + length; at += BLOCK) {
    sha512(work.at, at, Math.min(BLOCK, from + length - at), work.at + 256);
  }
}

/** What is read and unpacked at once on one thread stays in the cache of the processor. */
const SMALL = 256 << 10;
const input = new Memory(SMALL);
const output = new Memory(SMALL);

/** The digests of a layer and of its archive. */
export type LayerDigests = readonly [stored: string, archive: string];

/** Reads a layer on this thread alone. */
export function unpackHere(path: string): LayerDigests {
  const stored = new Sha256();
  const archive = new Sha256();
  const gunzip = new Gunzip();
  const file = openSync(path, "r");
  for (let length = readSync(file, input.bytes); length > 0; length = readSync(file, input.bytes)) {
    stored.add(input.at, length);
    gunzip.give(input.at, length);
    do {
      gunzip.room(output.at, SMALL);
      inflate(gunzip.at, 0);
      const unpacked = SMALL - gunzip.left;
      hashPart(archive, output.at, unpacked);
    } while (gunzip.left === 0);
  }
  closeSync(file);
  gunzip.free();
  return [stored.digest(), archive.digest()];
}

/** What is unpacked on another thread at once: long enough that it seldom waits for this one. */
const LARGE = 4 << 20;
/** This thread looks at what the others have done each time it has hashed so much. */
const TURN = 128 << 10;

async function hashInTurns(archive: Sha256, from: number, length: number): Promise<void> {
  for (let at = 0; at < length; at += TURN) {
    hashPart(archive, from + at, Math.min(TURN, length - at));
    await giveWay();
  }
}

/** The pieces of a file, which node's threads read and hash ahead of the caller. A piece is good until the next one. */
async function* storedPieces(
  path: string,
  hash: Sha256,
): AsyncGenerator<{ readonly at: number; readonly length: number }> {
  const buffers = [new Memory(LARGE), new Memory(LARGE)];
  const hashed: (Promise<unknown> | undefined)[] = [];
  const file = await open(path);
  const read = async (turn: number) => {
    const { bytes, at } = buffers[turn] as Memory;
    await hashed[turn];
    const { bytesRead } = await file.read(bytes);
    hashed[turn] = hash.addBeside(at, bytesRead);
    return { at, length: bytesRead };
  };
  let next = read(0);
  for (let turn = 1; ; turn ^= 1) {
    const piece = await next;
    if (piece.length === 0) break;
    next = read(turn);
    yield piece;
  }
  await Promise.all(hashed);
  await file.close();
}

/** The digest of a layer as it is stored. */
export async function hashStored(path: string): Promise<string> {
  const stored = new Sha256();
  for await (const _ of storedPieces(path, stored));
  return stored.digest();
}

/**
 * Reads a layer on two cores: node's threads read, hash what is stored and unpack, this one hashes the archive. With
 * another thread for its SHA-256 it takes longer: then unpacking, which nothing can divide, shares its core.
 */
export async function unpackBeside(path: string): Promise<LayerDigests> {
  const stored = new Sha256();
  const archive = new Sha256();
  const gunzip = new Gunzip();
  const outputs = [new Memory(LARGE), new Memory(LARGE), new Memory(LARGE)];
  /** Until when memory is used. */
  const used = new Map<Memory, Promise<unknown>>();
  let last = Promise.resolve();
  let turn = 0;
  const room = async () => {
    const memory = outputs[turn++ % outputs.length] as Memory;
    await used.get(memory);
    gunzip.room(memory.at, LARGE);
    return memory;
  };
  const use = (memory: Memory) => {
    const length = LARGE - gunzip.left;
    last = last.then(() => hashInTurns(archive, memory.at, length));
    used.set(memory, last);
  };
  let memory = await room();
  for await (const { at, length } of storedPieces(path, stored)) {
    gunzip.give(at, length);
    for (;;) {
      await beside(inflate, gunzip.at, 0);
      if (gunzip.left > 0) break;
      use(memory);
      memory = await room();
    }
  }
  use(memory);
  await last;
  gunzip.free();
  return [stored.digest(), archive.digest()];
}
