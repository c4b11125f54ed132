/**
 * Memory whose parts are hashed in place, into other parts of it: what fs-verity computes with. node:crypto makes an
 * object of each hash; a function that writes hashes straight to their place can be given to {@link hashWith}.
 */
import { hash } from "node:crypto";
import type { VerityAlgorithm } from "./series.ts";

export interface HashMemory {
  readonly bytes: Uint8Array;
  /**
   * Writes the hash of the `length` bytes at `from` to `to`; both parts lie within {@link bytes} and do not overlap.
   */
  readonly hash: (from: number, length: number, to: number) => void;
}

/** Makes memory of so many bytes, all zero. */
export type HashMemoryMaker = (algorithm: VerityAlgorithm, size: number) => HashMemory;

let make: HashMemoryMaker = cryptoMemory;

/** Has all memory that is asked for from now on, in this thread, made by another function. */
export function hashWith(maker: HashMemoryMaker): void {
  make = maker;
}

/** What makes memory in this thread. */
export function hashMemoryMaker(): HashMemoryMaker {
  return make;
}

/** Memory that node:crypto hashes. */
export function cryptoMemory(algorithm: VerityAlgorithm, size: number): HashMemory {
  const bytes = Buffer.alloc(size);
  return {
    bytes,
    hash: (from, length, to) => {
      // As a latin1 string the hash costs less than as a Buffer of its own (measured with Node 24: 5 to
      // 10 % of everything).
      bytes.write(hash(algorithm, bytes.subarray(from, from + length), "binary"), to, "latin1");
    },
  };
}
