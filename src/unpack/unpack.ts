/** Streams that Linux unpacks an initramfs from (lib/decompress.c), recognised by their first bytes. */
import type { Reader } from "../bytes.ts";
import { SealError } from "../errors.ts";
import { unpackBzip2 } from "./bzip2.ts";
import { unpackLz4 } from "./lz4.ts";
import { Output, type Sink, type Unpack } from "./output.ts";
import { unpackLzma, unpackXz } from "./xz.ts";
import { hasZstd, unpackGzip, unpackZstd } from "./zlib.ts";

/** The compressed streams that can be unpacked. */
export const STREAM_KINDS = ["gzip", "zstd", "lz4", "xz", "lzma", "bzip2", "lzo"] as const;
/** The kind of a compressed stream. */
export type StreamKind = (typeof STREAM_KINDS)[number];

/** Linux tries them by two bytes in this order; no two of them are alike. Null: seal can't unpack it. */
const STREAMS: Readonly<Record<StreamKind, { magic: readonly number[]; unpack: Unpack | null }>> = {
  gzip: { magic: [0x1f, 0x8b], unpack: unpackGzip },
  zstd: { magic: [0x28, 0xb5, 0x2f, 0xfd], unpack: hasZstd() ? unpackZstd : null },
  lz4: { magic: [0x02, 0x21, 0x4c, 0x18], unpack: unpackLz4 },
  xz: { magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], unpack: unpackXz },
  lzma: { magic: [0x5d, 0x00], unpack: unpackLzma },
  bzip2: { magic: [0x42, 0x5a, 0x68], unpack: unpackBzip2 },
  lzo: { magic: [0x89, 0x4c, 0x5a, 0x4f], unpack: null },
};

/** How a stream is compressed; null: Linux has nothing that starts so. @param head its first bytes; six are enough */
export function streamKind(head: Uint8Array): StreamKind | null {
  return STREAM_KINDS.find((kind) => STREAMS[kind].magic.every((byte, index) => head[index] === byte)) ?? null;
}

/** Whether {@link unpackStream} can. */
export function canUnpack(kind: StreamKind): boolean {
  return STREAMS[kind].unpack !== null;
}

/**
 * Unpacks the stream that the input begins with, in as much memory as its matches reach back.
 * @param limit bytes that it may unpack to
 * @param subject what the user knows it by
 * @param sink takes what is unpacked
 * @returns how many bytes of the input the stream has; something else may follow
 * @throws SealError `input` for damaged data, for what Linux can't unpack either, and beyond the limit
 */
export async function unpackStream(
  kind: StreamKind,
  input: Reader,
  { limit, subject, sink }: { readonly limit: number; readonly subject: string; readonly sink: Sink },
): Promise<number> {
  const { unpack } = STREAMS[kind];
  if (unpack === null) throw new SealError("input", `${subject}: seal can't unpack ${kind}`);
  const output = new Output(limit, subject, sink);
  const consumed = await unpack(input, output);
  output.flush();
  return consumed;
}
