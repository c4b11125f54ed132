/** Unpacks compressed streams: gzip (RFC 1952, also of several members), Zstandard (RFC 8878), or neither. */
import type { Transform, TransformOptions } from "node:stream";
import zlib, { type ZlibOptions } from "node:zlib";
import { inputError, SealError } from "../../errors.ts";
import { release, zstdDecompressor } from "../../unpack/zlib.ts";
import { isSystemError } from "../files.ts";
import { GzipStream } from "../libz.ts";
import { feed } from "./feed.ts";
import { gunzipped } from "./gunzip.ts";
import { type FrameListener, splitFrames, ZSTD_MAGIC, ZSTD_SKIPPABLE } from "./zstd-frames.ts";

/** How a layer is compressed. */
export type Compression = "gzip" | "zstd" | "none";

/** Each is a way to another thread and back, and to smaller ones the other thread waits more often than it works. */
const CHUNK_SIZE = 1 << 20;
/** So many bytes are unpacked ahead of the caller. */
const AHEAD = 4 << 20;
const OPTIONS: ZlibOptions & TransformOptions = { chunkSize: CHUNK_SIZE, readableHighWaterMark: AHEAD };

/** How a stream is compressed. @param head its first bytes; four are enough */
export function compressionOf(head: Uint8Array): Compression {
  if (head[0] === 0x1f && head[1] === 0x8b) return "gzip";
  if (head.length < 4) return "none";
  const magic = new DataView(head.buffer, head.byteOffset).getUint32(0, true);
  return magic === ZSTD_MAGIC || (magic & 0xffff_fff0) >>> 0 === ZSTD_SKIPPABLE ? "zstd" : "none";
}

export interface DecompressOptions {
  /** Of Zstandard. */
  readonly onFrame?: FrameListener | undefined;
  /** Whether the next piece of gzip is to be unpacked on another thread; default: all are. */
  readonly beside?: (() => boolean) | undefined;
  /** Whether gzip is left to node's stream, which needs no native code to be loaded; default: no. */
  readonly isSmall?: boolean | undefined;
}

/**
 * The unpacked bytes, in pieces, each good until the next one is asked for. The work is done on other threads while the
 * caller works on what it got.
 * @param chunks each is good until the one after the next is asked for
 * @throws SealError `input` for damaged and truncated streams
 */
export function decompressed(
  chunks: AsyncIterable<Uint8Array>,
  compression: Compression,
  subject: string,
  { onFrame = () => {}, beside = () => true, isSmall = false }: DecompressOptions = {},
): AsyncIterable<Uint8Array> {
  switch (compression) {
    case "none":
      return chunks;
    case "gzip":
      return explained(() => (isSmall ? gunzipByNode(chunks) : gunzip(chunks, beside)), subject);
    case "zstd":
      return explained(
        () => through(splitFrames(chunks, subject, onFrame), zstdDecompressor(subject, CHUNK_SIZE)),
        subject,
      );
  }
}

function gunzip(chunks: AsyncIterable<Uint8Array>, beside: () => boolean): AsyncGenerator<Uint8Array> {
  const stream = GzipStream.open();
  return stream === null ? gunzipByNode(chunks) : gunzipped(chunks, stream, beside, gunzipByNode);
}

function gunzipByNode(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  return through(chunks, zlib.createGunzip(OPTIONS));
}

/** @param unpack called when the first piece is asked for */
async function* explained(unpack: () => AsyncIterable<Uint8Array>, subject: string): AsyncGenerator<Uint8Array> {
  try {
    yield* unpack();
  } catch (error) {
    if (error instanceof SealError || isSystemError(error) || !(error instanceof Error)) throw error;
    throw inputError(subject, `can't be unpacked: ${error.message}`, error);
  }
}

async function* through(chunks: AsyncIterable<Uint8Array>, transform: Transform): AsyncGenerator<Uint8Array> {
  const feeding = feed(chunks, transform);
  // Errors come out of the transform, which is read below; those after its end come out of the feeding.
  transform.on("error", () => {});
  feeding.catch((error: unknown) => {
    transform.destroy(error instanceof Error ? error : new Error(String(error)));
  });
  try {
    for await (const chunk of transform) {
      yield chunk as Uint8Array;
      release(chunk as Uint8Array);
    }
    // What follows the end of a gzip stream is not unpacked, but belongs to the blob.
    await feeding;
  } finally {
    transform.destroy();
  }
}
