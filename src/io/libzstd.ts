/**
 * Unpacks Zstandard by the functions of the libzstd that node itself is linked with, called with addresses. Node's
 * stream goes to another thread and back for each piece and makes new memory for it, which takes three times as long as
 * unpacking the piece.
 */
import koffi from "koffi";
import { unpackZstdWith, type ZstdFrame } from "../unpack/zlib.ts";
import { findInNode, unmoved } from "./libcrypto.ts";

/** Addresses and lengths are numbers. */
interface ZstdFunctions {
  readonly create: () => number;
  readonly free: (context: number) => void;
  /** @returns 0 at the end of a frame, an error, or anything else */
  readonly unpack: (context: number, output: number, input: number) => number | bigint;
  readonly isError: (result: number | bigint) => number;
}

/**
 * Has this thread unpack Zstandard with them, if this node has them. They are not looked for before
 * something is unpacked.
 */
export function useLibzstd(): void {
  unpackZstdWith(() => nativeFrame());
}

/**
 * A frame that they unpack; null: node doesn't have them.
 * @param find the function of a prototype in C; throws where there is none
 */
export function nativeFrame(find: (prototype: string) => unknown = findInNode): ZstdFrame | null {
  const functions = zstdFunctions(find);
  const context = functions?.create() ?? 0;
  if (functions === null || context === 0) return null;
  const { free, unpack, isError } = functions;
  const output = new Uint8Array(new ArrayBuffer(OUTPUT_SIZE));
  // ZSTD_outBuffer, then ZSTD_inBuffer: address, size and position each.
  const buffers = new BigUint64Array(new ArrayBuffer(6 * 8));
  const address = Number(koffi.address(buffers));
  buffers[0] = koffi.address(output);
  buffers[1] = BigInt(output.length);
  return {
    unpack: (given, sink) => {
      const piece = unmoved(given);
      buffers[3] = koffi.address(piece);
      buffers[4] = BigInt(piece.length);
      buffers[5] = 0n;
      for (;;) {
        buffers[2] = 0n;
        const result = unpack(context, address, address + 3 * 8);
        if (isError(result) !== 0) return "damaged";
        const length = Number(buffers[2]);
        sink(output.subarray(0, length));
        if (Number(result) === 0) return "ended";
        // As long as it fills the memory there may be more of what it has been given.
        if (length < output.length && Number(buffers[5]) === piece.length) return "more";
      }
    },
    free: () => free(context),
  };
}
const OUTPUT_SIZE = 1 << 18;

function zstdFunctions(find: (prototype: string) => unknown): ZstdFunctions | null {
  try {
    return {
      create: find("uintptr_t ZSTD_createDCtx()") as ZstdFunctions["create"],
      free: find("size_t ZSTD_freeDCtx(uintptr_t context)") as ZstdFunctions["free"],
      unpack: find(
        "size_t ZSTD_decompressStream(uintptr_t context, uintptr_t output, uintptr_t input)",
      ) as ZstdFunctions["unpack"],
      isError: find("unsigned int ZSTD_isError(size_t result)") as ZstdFunctions["isError"],
    };
  } catch {
    return null;
  }
}
