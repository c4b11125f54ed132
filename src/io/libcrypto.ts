/**
 * Hashes by the functions of the libcrypto that node itself is linked with, called with addresses. `crypto.hash`
 * makes objects of its input and its result, which costs a seventh of hashing a block of 4096 bytes; these three
 * calls cost a fiftieth.
 */
import koffi from "koffi";
import { toHex } from "../bytes.ts";
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

/**
 * Has this thread compute fs-verity digests with them, if this node has them and they compute what they should.
 * node:crypto is not even loaded then, which takes longer than hashing a thousand small files.
 */
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
  const functions = hashFunctions(algorithm, find);
  if (functions === null) return null;
  // The context follows what the caller sees. Memory of this size stays where it is, for as long as
  // there is a view of it.
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

/** Arrays of so few bytes V8 may move while it collects garbage. */
const MOVED_SIZE = 64;

/** The same bytes at an address that stays what it is for as long as there is a view of them. */
export function unmoved(bytes: Uint8Array): Uint8Array {
  if (bytes.length > MOVED_SIZE) return bytes;
  const copy = new Uint8Array(new ArrayBuffer(2 * MOVED_SIZE)).subarray(0, bytes.length);
  copy.set(bytes);
  return copy;
}

function hashFunctions(algorithm: VerityAlgorithm, find: (prototype: string) => unknown): HashFunctions | null {
  const name = algorithm === "sha512" ? "SHA512" : "SHA256";
  try {
    // What `crypto.getFips` asks.
    const isFips = find("int EVP_default_properties_is_fips_enabled(uintptr_t context)") as (context: number) => number;
    if (isFips(0) !== 0) return null;
    return {
      init: find(`int ${name}_Init(uintptr_t context)`) as HashFunctions["init"],
      update: find(`int ${name}_Update(uintptr_t context, uintptr_t from, size_t length)`) as HashFunctions["update"],
      final: find(`int ${name}_Final(uintptr_t to, uintptr_t context)`) as HashFunctions["final"],
    };
  } catch {
    return null;
  }
}

/** Whether the hash of {@link CHECKED} zeros comes out right. Leaves the memory all zero. */
function isRight({ bytes, hash: hashInPlace }: HashMemory, algorithm: VerityAlgorithm): boolean {
  const expected = EXPECTED[algorithm];
  hashInPlace(0, CHECKED, CHECKED);
  const place = bytes.subarray(CHECKED, CHECKED + expected.length / 2);
  const isSame = toHex(place) === expected;
  place.fill(0);
  return isSame;
}
const CHECKED = 200;
const EXPECTED: Readonly<Record<VerityAlgorithm, string>> = {
  sha256: "6d9c54dee5660c46886f32d80e57e9dd0ffa57ee0cd2a762b036d9c8e0c3a33a",
  sha512:
    "72686058f765941bfda046f7890a4b70d0c7a40a14baa73ebb1fdcd47cddc9072e5452f183b2f419b471c5b0c7d7ce074bf0b8ed004ebf418c7059737e6c093d",
};
