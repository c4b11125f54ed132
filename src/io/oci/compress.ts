/**
 * Packs streams as image layers are: gzip, Zstandard, or not at all. The same bytes in give the same bytes out, with
 * the same release of node.
 */
import type { Transform } from "node:stream";
import zlib from "node:zlib";
import { SealError } from "../../errors.ts";
import type { Compression } from "./decompress.ts";
import { feed } from "./feed.ts";

/** How to pack, and how hard to try; null: as usual. */
export interface CompressionChoice {
  readonly kind: Compression;
  readonly level: number | null;
}

const CHUNK_SIZE = 256 << 10;
/** What may follow the colon; 19 is zstd's highest level without `--ultra`. */
const LEVELS: Readonly<Record<Compression, number>> = { gzip: 9, zstd: 19, none: 0 };

/**
 * Takes `gzip`, `zstd` or `none` apart, with a level as in `gzip:9`.
 * @throws SealError `usage` for anything else, and for zstd where node has none
 */
export function parseCompression(text: string): CompressionChoice {
  const [, kind, digits] = /^(gzip|zstd|none)(?::([1-9]\d?))?$/.exec(text) ?? [];
  const level = digits === undefined ? null : Number(digits);
  if ((kind !== "gzip" && kind !== "zstd" && kind !== "none") || (level ?? 0) > LEVELS[kind]) {
    throw new SealError("usage", `--compression ${text}: give gzip, zstd or none, or a level as in gzip:9 or zstd:19`);
  }
  if (kind === "zstd" && typeof zlib.createZstdCompress !== "function") {
    throw new SealError(
      "usage",
      `--compression zstd: not supported by Node ${process.versions.node}; use Node 22.15, 23.8 or later`,
    );
  }
  return { kind, level };
}

/**
 * The packed bytes, in pieces. The work is done on other threads, on one chunk while the next one is made. Errors of
 * `chunks` come through.
 */
export async function* compressed(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  { kind, level }: CompressionChoice,
): AsyncGenerator<Uint8Array> {
  if (kind === "none") {
    yield* chunks;
    return;
  }
  const transform = kind === "gzip" ? gzip(level) : zstd(level);
  // Errors come out of the transform, which is read below.
  feed(chunks, transform).catch((error: unknown) => {
    transform.destroy(error instanceof Error ? error : new Error(String(error)));
  });
  try {
    for await (const chunk of transform) yield chunk as Uint8Array;
  } finally {
    transform.destroy();
  }
}

function gzip(level: number | null): Transform {
  return zlib.createGzip({ chunkSize: CHUNK_SIZE, ...(level === null ? {} : { level }) });
}

function zstd(level: number | null): Transform {
  const { ZSTD_c_checksumFlag, ZSTD_c_compressionLevel } = zlib.constants;
  const params = { [ZSTD_c_checksumFlag]: 1, ...(level === null ? {} : { [ZSTD_c_compressionLevel]: level }) };
  return zlib.createZstdCompress({ chunkSize: CHUNK_SIZE, params });
}
