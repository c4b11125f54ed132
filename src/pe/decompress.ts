/**
 * Kernels as distributions ship them: a PE image, or one compressed as a whole, or a PE image that unpacks
 * itself at boot (zboot, Linux drivers/firmware/efi/libstub/zboot-header.S).
 */
import zlib from "node:zlib";
import { Cursor, type Reader } from "../bytes.ts";
import { inputError, SealError } from "../errors.ts";
import { unpackBzip2 } from "../unpack/bzip2.ts";
import { unpackLz4, unpackLz4Frame } from "../unpack/lz4.ts";
import { type Output, unpackWhole } from "../unpack/output.ts";
import { unpackLzma, unpackXz } from "../unpack/xz.ts";

/** Kernels with everything built in stay below 200 MiB; beyond this an input is hostile. */
const MAX_KERNEL_SIZE = 1 << 30;

/**
 * Compressions by their first bytes and by what zboot images call them; those without a function can't be undone here.
 */
const COMPRESSIONS: readonly { name: string; zboot: string; magic: readonly number[]; unpack: Unpack | null }[] = [
  { name: "gzip", zboot: "gzip", magic: [0x1f, 0x8b], unpack: byNode(zlib.gunzipSync) },
  // Node has it from 22.15 on.
  { name: "zstd", zboot: "zstd", magic: [0x28, 0xb5, 0x2f, 0xfd], unpack: byNode(zlib.zstdDecompressSync) },
  { name: "lz4", zboot: "lz4", magic: [0x02, 0x21, 0x4c, 0x18], unpack: bySeal(unpackLz4) },
  { name: "lz4", zboot: "", magic: [0x04, 0x22, 0x4d, 0x18], unpack: bySeal(unpackLz4Frame) },
  { name: "lzma", zboot: "lzma", magic: [0x5d, 0x00, 0x00], unpack: bySeal(unpackLzma) },
  { name: "xz", zboot: "", magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], unpack: bySeal(unpackXz) },
  { name: "bzip2", zboot: "", magic: [0x42, 0x5a, 0x68], unpack: bySeal(unpackBzip2) },
  { name: "lzo", zboot: "lzo", magic: [0x89, 0x4c, 0x5a, 0x4f], unpack: null },
];

/** @throws SealError `input`, or an error of node's */
type Unpack = (bytes: Uint8Array, subject: string) => Uint8Array;

function byNode(
  how: ((bytes: Uint8Array, options: { maxOutputLength: number; chunkSize: number }) => Uint8Array) | undefined,
): Unpack | null {
  if (how === undefined) return null;
  return (bytes) => how(bytes, { maxOutputLength: MAX_KERNEL_SIZE, chunkSize: 1 << 20 });
}

function bySeal(how: (input: Reader, output: Output) => number): Unpack {
  return (bytes, subject) => unpackWhole(how, bytes, MAX_KERNEL_SIZE, subject).bytes;
}

/**
 * The kernel inside a compressed file; the bytes themselves when they are not compressed as a whole.
 * @throws SealError `input` when the compression is one that seal can't undo, or the data is damaged
 */
export function decompressKernel(bytes: Uint8Array, subject: string): Uint8Array {
  const compression = COMPRESSIONS.find(({ magic }) => magic.every((byte, index) => bytes[index] === byte));
  if (compression === undefined) return bytes;
  if (compression.unpack === null) {
    throw inputError(subject, `the kernel is compressed with ${compression.name}: decompress it first`);
  }
  return unpack(compression.unpack, bytes, subject, compression.name);
}

/**
 * The kernel that a zboot image unpacks at boot, decompressed, to look into it. Null when the bytes are not a zboot
 * image or one with a compression that can't be undone here.
 * @throws SealError `input` when the payload is damaged or lies outside the file
 */
export function zbootPayload(bytes: Uint8Array, subject: string): Uint8Array | null {
  const cursor = new Cursor(bytes, subject);
  if (bytes.length < 0x20 || cursor.u32(4, "zboot magic") !== 0x676d_697a) return null;
  const type = Buffer.from(cursor.slice(0x18, 6, "zboot compression")).toString("latin1");
  const compression = COMPRESSIONS.find(({ zboot }) => zboot !== "" && type.startsWith(zboot));
  if (compression === undefined || compression.unpack === null) return null;
  const payload = cursor.slice(cursor.u32(8, "zboot header"), cursor.u32(12, "zboot header"), "zboot payload");
  return unpack(compression.unpack, payload, subject, compression.name);
}

function unpack(how: Unpack, bytes: Uint8Array, subject: string, name: string): Uint8Array {
  try {
    return how(bytes, subject);
  } catch (error) {
    if (error instanceof SealError) throw error;
    const code = error instanceof Error && "code" in error ? error.code : "";
    const reason =
      code === "ERR_BUFFER_TOO_LARGE" ? `unpacks to more than ${MAX_KERNEL_SIZE} bytes` : `its ${name} data is damaged`;
    throw inputError(subject, `the kernel can't be decompressed: ${reason}`, error);
  }
}
