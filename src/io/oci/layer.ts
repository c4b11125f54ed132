/** One layer of an image as a stream: unpacked, its digests checked on the way. */
import { createHash } from "node:crypto";
import { inputError } from "../../errors.ts";
import { type BlobDigest, formatBlobDigest } from "../../oci/digest.ts";
import { compressionOf, decompressed } from "./decompress.ts";
import { readAt, readStored, type StoredFile } from "./stored-file.ts";

export interface Layer {
  readonly file: StoredFile;
  /** Of the file as it lies there; null: unknown. */
  readonly digest: BlobDigest | null;
  /** Of the archive in it; null: unknown. */
  readonly diffId: BlobDigest | null;
  /** What the manifest says that it is; null: it does not, or there is none. */
  readonly mediaType: string | null;
  /** Whether times before 1970 are taken. */
  readonly negativeTimes: boolean;
}

/** Bytes. No layer unpacks to more: what does is made to keep machines busy. */
const UNPACKED_LIMIT = 64 * 2 ** 30;

/** @param bytes of the file that have been read so far */
export type StoredListener = (bytes: number) => void;
/** @param bytes of the archive, when it has ended */
export type UnpackedListener = (bytes: number) => void;

/**
 * The archive in a layer. When it has ended, all digests have been checked.
 * @param unpackedLimit bytes
 * @throws SealError `input` for a layer that is damaged, too large or not the one that the image names
 */
export async function* unpackLayer(
  { file, digest, diffId }: Layer,
  onStored: StoredListener = () => {},
  onUnpacked: UnpackedListener = () => {},
  unpackedLimit = UNPACKED_LIMIT,
): AsyncGenerator<Uint8Array> {
  const { subject } = file;
  const stored = verified(counted(readStored(file), onStored), digest, Number.POSITIVE_INFINITY, subject, "the blob");
  const unpacked = decompressed(stored, compressionOf(await readAt(file, 0, 4)), subject);
  yield* verified(unpacked, diffId, unpackedLimit, subject, "the unpacked layer", onUnpacked);
}

async function* counted(chunks: AsyncIterable<Uint8Array>, onStored: StoredListener): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    onStored(bytes);
    yield chunk;
  }
}

/** Passes a stream on, and fails at its end unless it has the digest. */
async function* verified(
  chunks: AsyncIterable<Uint8Array>,
  digest: BlobDigest | null,
  limit: number,
  subject: string,
  what: string,
  onEnd: (size: number) => void = () => {},
): AsyncGenerator<Uint8Array> {
  const hash = digest === null ? null : createHash(digest.algorithm);
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.length;
    if (size > limit)
      throw inputError(subject, `unpacks to more than ${limit / 2 ** 30} GiB; seal reads no such layer`);
    hash?.update(chunk);
    yield chunk;
  }
  checkDigest(hash?.digest("hex") ?? null, digest, subject, what);
  onEnd(size);
}

/** @throws SealError `input` when bytes don't have the digest that they are named by */
export function checkBlob(bytes: Uint8Array, digest: BlobDigest, subject: string): void {
  checkDigest(createHash(digest.algorithm).update(bytes).digest("hex"), digest, subject, "the blob");
}

function checkDigest(found: string | null, digest: BlobDigest | null, subject: string, what: string): void {
  if (digest === null || found === digest.hex) return;
  throw inputError(
    subject,
    `${what} has the digest ${digest.algorithm}:${found ?? ""}, not ${formatBlobDigest(digest)}: the image is damaged or was changed`,
  );
}
