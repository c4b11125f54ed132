/**
 * Hashes of large contents, computed on the threads that node has for files: several at the same time, while this thread goes on. node:crypto hashes
 * on the thread that calls it, and its SubtleCrypto copies what it hashes.
 */
import { getFips } from "node:crypto";
import koffi from "koffi";
import { findInNode } from "./libcrypto.ts";

/** Calls of libcrypto (EVP_DigestInit(3)). Addresses are numbers, 0 is none; a result of 1 is success. */
interface DigestFunctions {
  readonly create: () => number;
  readonly free: (context: number) => void;
  readonly byName: (name: string) => number;
  readonly init: (context: number, algorithm: number, engine: number) => number;
  readonly update: { readonly async: (...args: [...part: [number, number, number], done: Done]) => void };
  readonly final: (context: number, to: number, length: number) => number;
}
type Done = (error: Error | null, result: number) => void;

/**
 * The hash of all parts in order, for large ones: each costs some microseconds more than where it is hashed at once.
 * @param algorithm as node:crypto names it
 * @param parts in memory, and not to be changed before there is a result
 * @param find the function of a prototype in C; throws where there is none
 * @returns null where node's libcrypto can't be called, or has to keep to a FIPS module: then node:crypto must do it
 */
export async function hashBeside(
  algorithm: string,
  parts: Iterable<Uint8Array>,
  find: (prototype: string) => unknown = findInNode,
): Promise<Uint8Array | null> {
  const functions = getFips() === 0 ? digestFunctions(find) : null;
  const context = functions?.create() ?? 0;
  if (functions === null || context === 0) return null;
  const { byName, init, update, final, free } = functions;
  try {
    const type = byName(algorithm);
    if (type === 0 || init(context, type, 0) !== 1) return null;
    // Parts are held here until the thread that reads them is done.
    for (const part of parts) {
      const from = Number(koffi.address(part));
      const isDone = await new Promise<boolean>((resolve, reject) => {
        update.async(context, from, part.length, (error, result) => (error ? reject(error) : resolve(result === 1)));
      });
      if (!isDone) return null;
    }
    const digest = new Uint8Array(new ArrayBuffer(DIGEST_MAX));
    const length = new Uint32Array(new ArrayBuffer(4));
    if (final(context, Number(koffi.address(digest)), Number(koffi.address(length))) !== 1) return null;
    return digest.subarray(0, length[0]);
  } finally {
    free(context);
  }
}
/** EVP_MAX_MD_SIZE. */
const DIGEST_MAX = 64;

function digestFunctions(find: (prototype: string) => unknown): DigestFunctions | null {
  try {
    return {
      create: find("uintptr_t EVP_MD_CTX_new()") as DigestFunctions["create"],
      free: find("void EVP_MD_CTX_free(uintptr_t context)") as DigestFunctions["free"],
      byName: find("uintptr_t EVP_get_digestbyname(const char *name)") as DigestFunctions["byName"],
      init: find(
        "int EVP_DigestInit_ex(uintptr_t context, uintptr_t type, uintptr_t engine)",
      ) as DigestFunctions["init"],
      update: find(
        "int EVP_DigestUpdate(uintptr_t context, uintptr_t from, size_t length)",
      ) as DigestFunctions["update"],
      final: find(
        "int EVP_DigestFinal_ex(uintptr_t context, uintptr_t to, uintptr_t length)",
      ) as DigestFunctions["final"],
    };
  } catch {
    return null;
  }
}
