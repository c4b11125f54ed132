/**
 * Kernels as distributions ship them: a PE image, or one compressed as a whole (gzip, zstd), or a PE image that unpacks
 * itself at boot (zboot, Linux drivers/firmware/efi/libstub/zboot-header.S).
 */
import zlib from "node:zlib";
import { Cursor } from "../bytes.ts";
import { inputError } from "../errors.ts";

/** Kernels with everything built in stay below 200 MiB; beyond this an input is hostile. */
const MAX_KERNEL_SIZE = 1 << 30;

/** Compressions by their first bytes; those without a function can't be undone by node (zstd: before 22.15). */
const COMPRESSIONS: readonly { name: string; magic: readonly number[]; unpack: Unpack | null }[] = [
  { name: "gzip", magic: [0x1f, 0x8b], unpack: zlib.gunzipSync },
  { name: "zstd", magic: [0x28, 0xb5, 0x2f, 0xfd], unpack: zlib.zstdDecompressSync ?? null },
  { name: "lz4", magic: [0x02, 0x21, 0x4c, 0x18], unpack: null },
  { name: "lz4", magic: [0x04, 0x22, 0x4d, 0x18], unpack: null },
  { name: "lzo", magic: [0x89, 0x4c, 0x5a, 0x4f], unpack: null },
  { name: "bzip2", magic: [0x42, 0x5a, 0x68], unpack: null },
  { name: "lzma", magic: [0x5d, 0x00, 0x00], unpack: null },
  { name: "xz", magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], unpack: null },
];
type Unpack = (bytes: Uint8Array, options: { maxOutputLength: number; chunkSize: number }) => Uint8Array;

/**
 * The kernel inside a compressed file; the bytes themselves when they are not compressed as a whole.
 * @throws SealError `input` when the compression is unknown to node or the data is damaged
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
 * The kernel that a zboot image unpacks at boot, decompressed, to look into it. Null when the bytes are no zboot image or
 * one with a compression that node can't undo.
 * @throws SealError `input` when the payload is damaged or lies outside the file
 */
export function zbootPayload(bytes: Uint8Array, subject: string): Uint8Array | null {
  const cursor = new Cursor(bytes, subject);
  if (bytes.length < 0x20 || cursor.u32(4, "zboot magic") !== 0x676d_697a) return null;
  const type = Buffer.from(cursor.slice(0x18, 6, "zboot compression")).toString("latin1");
  const compression = COMPRESSIONS.find(({ name }) => type.startsWith(name));
  if (compression === undefined || compression.unpack === null) return null;
  const payload = cursor.slice(cursor.u32(8, "zboot header"), cursor.u32(12, "zboot header"), "zboot payload");
  return unpack(compression.unpack, payload, subject, compression.name);
}

function unpack(how: Unpack, bytes: Uint8Array, subject: string, name: string): Uint8Array {
  try {
    return how(bytes, { maxOutputLength: MAX_KERNEL_SIZE, chunkSize: 1 << 20 });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "";
    const reason =
      code === "ERR_BUFFER_TOO_LARGE" ? `unpacks to more than ${MAX_KERNEL_SIZE} bytes` : `its ${name} data is damaged`;
    throw inputError(subject, `the kernel can't be decompressed: ${reason}`, error);
  }
}
