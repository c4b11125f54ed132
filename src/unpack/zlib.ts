/**
 * gzip (RFC 1952) and Zstandard (RFC 8878) by node's own decompressors: exactly one member or frame,
 * as Linux reads them.
 */
import { Readable, type Transform } from "node:stream";
import zlib from "node:zlib";
import type { Reader } from "../bytes.ts";
import { inputError, SealError } from "../errors.ts";
import { damaged, type Output } from "./output.ts";

/** Each is a way to another thread and back: of smaller ones there are too many. */
const CHUNK_SIZE = 1 << 18;
/** How much of the input a decompressor gets at once. */
const PIECE = 1 << 18;
/** Flags of a gzip header. */
const [HEADER_CRC, EXTRA, NAME, COMMENT] = [2, 4, 8, 16] as const;
const RLE_BLOCK = 1;

/**
 * @param cursor from the magic number on
 * @returns how many bytes the stream has
 * @throws SealError `input` for damaged data, and beyond the limit
 */
export async function unpackGzip(cursor: Reader, output: Output): Promise<number> {
  const { subject } = output;
  const start = gzipHeaderLength(cursor);
  const inflate = zlib.createInflateRaw({ chunkSize: CHUNK_SIZE });
  const before = output.length;
  output.startSum(zlib.crc32);
  await collect(inflate, { cursor, start, end: cursor.length, name: "gzip" }, output);
  const sum = output.finishSum();
  const end = start + inflate.bytesWritten;
  const isWhole = cursor.u32(end + 4, "gzip length") === (output.length - before) % 2 ** 32;
  if (!isWhole || cursor.u32(end, "gzip checksum") !== sum) throw damaged(subject, "gzip");
  return end + 8;
}

function gzipHeaderLength(cursor: Reader): number {
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
 * @param cursor from the magic number on
 * @returns how many bytes the stream has
 * @throws SealError `input` for damaged data, beyond the limit, and where node has no Zstandard
 */
export async function unpackZstd(cursor: Reader, output: Output): Promise<number> {
  const { subject } = output;
  const consumed = zstdFrameLength(cursor);
  const range = { cursor, start: 0, end: consumed, name: "zstd" };
  const frame = openFrame();
  if (frame !== null) unpackFrame(frame, range, output);
  else await collect(zstdDecompressor(subject, CHUNK_SIZE), range, output);
  return consumed;
}

/** A frame of Zstandard that is unpacked on this thread. */
export interface ZstdFrame {
  /**
   * Unpacks the next piece of it.
   * @param sink takes views that are good during the call only
   */
  readonly unpack: (piece: Uint8Array, sink: (bytes: Uint8Array) => void) => "more" | "ended" | "damaged";
  readonly free: () => void;
}

let openFrame: () => ZstdFrame | null = () => null;

/** Has frames, in this thread, unpacked by other functions than node's; null: by node's. */
export function unpackZstdWith(open: () => ZstdFrame | null): void {
  openFrame = open;
}

function unpackFrame(frame: ZstdFrame, packed: Packed, output: Output): void {
  try {
    let state: ReturnType<ZstdFrame["unpack"]> = "more";
    for (const piece of pieces(packed)) {
      if (state === "more") state = frame.unpack(piece, (bytes) => output.append(bytes));
    }
    if (state !== "ended") throw damaged(output.subject, packed.name);
  } finally {
    frame.free();
  }
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
function zstdFrameLength(cursor: Reader): number {
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

/** What a decompressor gets, and what people call it. */
interface Packed {
  readonly cursor: Reader;
  readonly start: number;
  readonly end: number;
  readonly name: string;
}

async function collect(transform: Transform, packed: Packed, output: Output): Promise<void> {
  const source = Readable.from(pieces(packed), { objectMode: false, highWaterMark: 0 });
  source.on("error", (error) => transform.destroy(error)).pipe(transform);
  try {
    for await (const chunk of transform) {
      output.append(chunk as Uint8Array);
      release(chunk as Uint8Array);
    }
  } catch (error) {
    if (error instanceof SealError || !(error instanceof Error)) throw error;
    throw damaged(output.subject, packed.name, error);
  } finally {
    source.destroy();
    transform.destroy();
  }
}

/**
 * Gives the memory of a piece that a decompressor made back at once. Left to the collector, which counts objects and
 * not what they hold, each thread would have some 60 MB of them. A piece that ends before its buffer does shares it
 * with what the decompressor writes next.
 */
export function release({ buffer, byteOffset, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && byteOffset + byteLength === buffer.byteLength) buffer.transfer(0);
}

function* pieces({ cursor, start, end, name }: Packed): Generator<Uint8Array> {
  for (let at = start; at < end; at += PIECE) yield cursor.slice(at, Math.min(PIECE, end - at), `${name} data`);
}
