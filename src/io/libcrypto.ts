/**
 * Hashes by the functions of the libcrypto that node itself is linked with, called with addresses. `crypto.hash` makes objects of its input and its
 * result, which costs a seventh of hashing a block of 4096 bytes; these three calls cost a fiftieth.
 */
import { getFips, hash } from "node:crypto";
import koffi from "koffi";
import { equalBytes } from "../bytes.ts";
import { cryptoMemory, type HashMemory, hashWith } from "../composefs/hash-memory.ts";
import type { VerityAlgorithm } from "../composefs/series.ts";

/** Addresses and lengths are numbers. */
interface HashFunctions {
  readonly init: (context: number) => number;
  readonly update: (context: number, from: number, length: number) => number;
  readonly final: (to: number, context: number) => number;
}

/** More than `SHA512_CTX` (216 bytes) and `SHA256_CTX` (112) take. */
const CONTEXT_SIZE = 512;

/** Has this thread compute fs-verity digests with them, if this node has them and they do as node:crypto does. */
export function useLibcrypto(): void {
  hashWith(bestMemory);
}

function bestMemory(algorithm: VerityAlgorithm, size: number): HashMemory {
  return nativeMemory(algorithm, size) ?? cryptoMemory(algorithm, size);
}

/**
 * Memory that these functions hash; null: node doesn't have them, or has to keep to those of a FIPS module.
 * @param find the function of a prototype in C; throws where there is none
 */
export function nativeMemory(
  algorithm: VerityAlgorithm,
  size: number,
  find: (prototype: string) => unknown = findInNode,
): HashMemory | null {
  const functions = getFips() === 0 ? hashFunctions(algorithm, find) : null;
  if (functions === null) return null;
  // The context lies behind what the caller sees. Memory of this size stays where it is, for as long as there is a view of it.
  const whole = new Uint8Array(new ArrayBuffer(size + CONTEXT_SIZE));
  const base = Number(koffi.address(whole));
  const context = base + size;
  const { init, update, final } = functions;
  const memory: HashMemory = {
    bytes: whole.subarray(0, size),
    hash: (from, length, to) => {
      init(context);
      update(context, base + from, length);
      final(base + to, context);
    },
  };
  return isRight(memory, algorithm) ? memory : null;
}

let node: ReturnType<typeof koffi.load> | null = null;

/** The function of a prototype in C, among those that node itself has. @throws Error where it has none */
export function findInNode(prototype: string): unknown {
  node ??= koffi.load(null);
  return node.func(prototype);
}

function hashFunctions(algorithm: VerityAlgorithm, find: (prototype: string) => unknown): HashFunctions | null {
  const name = algorithm === "sha512" ? "SHA512" : "SHA256";
  try {
    return {
      init: find(`int ${name}_Init(uintptr_t context)`) as HashFunctions["init"],
      update: find(`int ${name}_Update(uintptr_t context, uintptr_t from, size_t length)`) as HashFunctions["update"],
      final: find(`int ${name}_Final(uintptr_t to, uintptr_t context)`) as HashFunctions["final"],
    };
  } catch {
    return null;
  }
}

/** Whether a hash comes out that node:crypto has, too. Leaves the memory all zero. */
function isRight({ bytes, hash: hashInPlace }: HashMemory, algorithm: VerityAlgorithm): boolean {
  const expected = hash(algorithm, bytes.subarray(0, CHECKED), "buffer");
  hashInPlace(0, CHECKED, CHECKED);
  const place = bytes.subarray(CHECKED, CHECKED + expected.length);
  const same = equalBytes(place, expected);
  place.fill(0);
  return same;
}
const CHECKED = 200;
