/** gzip (RFC 1952) and Zstandard (RFC 8878) by node's own decompressors: exactly one member or frame, as Linux reads them. */
import type { Transform } from "node:stream";
import zlib from "node:zlib";
import { Cursor } from "../bytes.ts";
import { inputError, SealError } from "../errors.ts";
import { damaged, type Output } from "./output.ts";

/** With larger ones node lets much more garbage lie, and is no faster. */
const CHUNK_SIZE = 1 << 14;
/** Flags of a gzip header. */
const [HEADER_CRC, EXTRA, NAME, COMMENT] = [2, 4, 8, 16] as const;
const RLE_BLOCK = 1;

/**
 * @param bytes from the magic number on
 * @returns how many of them the stream has
 * @throws SealError `input` for damaged data, and beyond the limit
 */
export async function unpackGzip(bytes: Uint8Array, output: Output): Promise<number> {
  const { subject } = output;
  const cursor = new Cursor(bytes, subject);
  const start = gzipHeaderLength(cursor);
  const inflate = zlib.createInflateRaw({ chunkSize: CHUNK_SIZE });
  const before = output.length;
  output.startSum(zlib.crc32);
  await collect(inflate, bytes.subarray(start), "gzip", output);
  const sum = output.finishSum();
  const end = start + inflate.bytesWritten;
  const isWhole = cursor.u32(end + 4, "gzip length") === (output.length - before) % 2 ** 32;
  if (!isWhole || cursor.u32(end, "gzip checksum") !== sum) throw damaged(subject, "gzip");
  return end + 8;
}

function gzipHeaderLength(cursor: Cursor): number {
  const flags = cursor.u8(3, "gzip header");
  let at = 10;
  if ((flags & EXTRA) !== 0) at += 2 + cursor.u16(at, "gzip header");
  for (const text of [NAME, COMMENT]) {
    if ((flags & text) === 0) continue;
    while (cursor.u8(at, "gzip header") !== 0) at++;
    at++;
  }
  return (flags & HEADER_CRC) === 0 ? at : at + 2;
}

/**
 * @param bytes from the magic number on
 * @returns how many of them the stream has
 * @throws SealError `input` for damaged data, beyond the limit, and where node has no Zstandard
 */
export async function unpackZstd(bytes: Uint8Array, output: Output): Promise<number> {
  const { subject } = output;
  const consumed = zstdFrameLength(new Cursor(bytes, subject));
  await collect(zstdDecompressor(subject, CHUNK_SIZE), bytes.subarray(0, consumed), "zstd", output);
  return consumed;
}

/** @throws SealError `input` where node has none */
export function zstdDecompressor(subject: string, chunkSize: number): Transform {
  if (!hasZstd()) {
    throw inputError(
      subject,
      `is compressed with zstd, which Node ${process.versions.node} can't unpack; use Node 22.15, 23.8 or later`,
    );
  }
  return zlib.createZstdDecompress({ chunkSize });
}

/** Node has it from 22.15 and 23.8 on. */
export function hasZstd(): boolean {
  return typeof zlib.createZstdDecompress === "function";
}

/** RFC 8878, section 3.1.1. */
function zstdFrameLength(cursor: Cursor): number {
  const descriptor = cursor.u8(4, "zstd frame");
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const sizeField = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >>> 6] ?? 0;
  let at = 5 + (isSingleSegment ? 0 : 1) + dictionary + sizeField;
  for (let last = false; !last; ) {
    const header = cursor.u16(at, "zstd block") | (cursor.u8(at + 2, "zstd block") << 16);
    last = (header & 1) !== 0;
    at += 3 + (((header >>> 1) & 3) === RLE_BLOCK ? 1 : header >>> 3);
  }
  return at + ((descriptor & 4) === 0 ? 0 : 4);
}

async function collect(transform: Transform, bytes: Uint8Array, name: string, output: Output): Promise<void> {
  transform.end(bytes);
  try {
    for await (const chunk of transform) output.append(chunk as Uint8Array);
  } catch (error) {
    if (error instanceof SealError || !(error instanceof Error)) throw error;
    throw damaged(output.subject, name, error);
  } finally {
    transform.destroy();
  }
}
