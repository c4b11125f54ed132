/**
 * Hashes of large contents, computed on the threads that node has for files: several at the same time, while this
 * thread goes on. node:crypto hashes on the thread that calls it, and its SubtleCrypto copies what it hashes.
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
  readonly update: {
    (context: number, from: number, length: number): number;
    readonly async: (...args: [...part: [number, number, number], done: Done]) => void;
  };
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
  find?: (prototype: string) => unknown,
): Promise<Uint8Array | null> {
  const hasher = HashBeside.of(algorithm, find);
  if (hasher === null) return null;
  try {
    for (const part of parts) {
      for (let at = 0; at < part.length; at += TURN_SIZE) {
        if (!(await hasher.update(part.subarray(at, at + TURN_SIZE)))) return null;
      }
    }
    return hasher.digest();
  } finally {
    hasher.free();
  }
}

/** Files are read and written on the same threads, and get their turn in between. */
const TURN_SIZE = 4 << 20;

/** A hash of parts that come one after the other, each of which is hashed while this thread goes on. */
export class HashBeside {
  readonly #functions: DigestFunctions;
  readonly #context: number;
  /** The part that another thread reads: it must not be collected meanwhile. */
  #part: Uint8Array | null = null;

  private constructor(functions: DigestFunctions, context: number) {
    this.#functions = functions;
    this.#context = context;
  }

  /**
   * @param algorithm as node:crypto names it
   * @param find see {@link hashBeside}
   * @returns null where node:crypto must do it; else {@link free} has to be called in the end
   */
  static of(algorithm: string, find: (prototype: string) => unknown = findInNode): HashBeside | null {
    const functions = getFips() === 0 ? functionsOf(find) : null;
    const context = functions?.create() ?? 0;
    if (functions === null || context === 0) return null;
    const type = functions.byName(algorithm);
    if (type !== 0 && functions.init(context, type, 0) === 1) return new HashBeside(functions, context);
    functions.free(context);
    return null;
  }

  /**
   * Hashes the next part. Until this has ended the part must stay as it is, and nothing else be called.
   * @returns whether libcrypto could
   */
  async update(part: Uint8Array): Promise<boolean> {
    if (this.#part !== null) throw new Error("the part before is still being hashed");
    this.#part = part;
    try {
      return await new Promise<boolean>((resolve, reject) => {
        const from = Number(koffi.address(part));
        this.#functions.update.async(this.#context, from, part.length, (error, result) =>
          error ? reject(error) : resolve(result === 1),
        );
      });
    } finally {
      this.#part = null;
    }
  }

  /** Hashes the next part on this thread. @returns as {@link update} */
  updateHere(part: Uint8Array): boolean {
    return this.#functions.update(this.#context, Number(koffi.address(part)), part.length) === 1;
  }

  /** The hash of all parts; null: libcrypto could not. */
  digest(): Uint8Array | null {
    const digest = new Uint8Array(new ArrayBuffer(DIGEST_MAX));
    const length = new Uint32Array(new ArrayBuffer(4));
    const { final } = this.#functions;
    if (final(this.#context, Number(koffi.address(digest)), Number(koffi.address(length))) !== 1) return null;
    return digest.subarray(0, length[0]);
  }

  free(): void {
    this.#functions.free(this.#context);
  }
}
/** EVP_MAX_MD_SIZE. */
const DIGEST_MAX = 64;

const found = new Map<(prototype: string) => unknown, DigestFunctions | null>();

function functionsOf(find: (prototype: string) => unknown): DigestFunctions | null {
  const known = found.get(find);
  if (known !== undefined) return known;
  const functions = digestFunctions(find);
  found.set(find, functions);
  return functions;
}

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
