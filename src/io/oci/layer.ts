/** One layer of an image as a stream: unpacked, its digests checked on the way. */
import { createHash } from "node:crypto";
import { inputError } from "../../errors.ts";
import { type BlobDigest, formatBlobDigest } from "../../oci/digest.ts";
import type { StoredForm } from "../../oci/layer-form.ts";
import { compressionOf, decompressed } from "./decompress.ts";
import { FormWatcher } from "./layer-form.ts";
import { hashHere, pieceHash } from "./piece-hash.ts";
import { type PieceMemory, type StoredFile, storedPieces, storedPiecesHere } from "./stored-file.ts";

/** A layer of an image, opened for reading. */
export interface Layer {
  readonly file: StoredFile;
  /** Of the file as it is; null: unknown. */
  readonly digest: BlobDigest | null;
  /** Of the archive in it; null: unknown. */
  readonly diffId: BlobDigest | null;
  /** What the manifest says that it is; null: it does not, or there is none. */
  readonly mediaType: string | null;
  /** Whether times before 1970 are taken. */
  readonly negativeTimes: boolean;
}

/** Bytes: each piece is a way to other threads and back, one to be hashed and one to be unpacked. */
const READ_AT_ONCE = 1 << 20;
/** Bytes: a smaller layer is read before the native code is loaded that reads larger ones faster. */
const WORTH_LOADING = 1 << 20;
/** Bytes. No layer unpacks to more: what does is made to keep machines busy. */
const UNPACKED_LIMIT = 64 * 2 ** 30;

export interface UnpackOptions {
  /** @param bytes of the file that have been read so far */
  readonly stored?: (bytes: number) => void;
  /** The archive has ended, and its digests are right. */
  readonly end?: (form: StoredForm) => void;
  /** Whether the next piece may be unpacked on another thread; default: all are. */
  readonly beside?: () => boolean;
}

/**
 * The archive in a layer, in pieces, each good until the next one is asked for. When it has ended, all digests have
 * been checked. The file is read once.
 * @param unpackedLimit bytes
 * @throws SealError `input` for a layer that is damaged, too large or not the one that the image names
 */
export async function* unpackLayer(
  { file, digest, diffId }: Layer,
  { stored: onStored, end: onEnd, beside }: UnpackOptions = {},
  unpackedLimit = UNPACKED_LIMIT,
): AsyncGenerator<Uint8Array> {
  const { subject } = file;
  const isSmall = file.size < WORTH_LOADING;
  const pieces = storedPieces(file, READ_AT_ONCE);
  try {
    const first = await pieces.next();
    const head = first.done === true ? new Uint8Array() : first.value;
    const compression = compressionOf(head);
    const form = new FormWatcher(compression);
    const all = startingWith(head, pieces);
    const stored = verified(all, digest, { subject, what: THE_BLOB, isSmall }, (piece, bytes) => {
      form.stored(piece);
      onStored?.(bytes);
    });
    const onFrame = (isData: boolean) => form.frame(isData);
    const unpacked = decompressed(stored, compression, subject, { onFrame, beside, isSmall });
    let size = 0;
    // The bytes of what is not compressed are hashed already, mostly for the same digest.
    const isHashed = compression === "none" && digest !== null && isSame(digest, diffId);
    const what = "the unpacked layer";
    yield* verified(unpacked, isHashed ? null : diffId, { subject, what, isSmall }, (_, bytes) => {
      size = bytes;
      if (bytes <= unpackedLimit) return;
      throw inputError(
        subject,
        `unpacks to more than ${unpackedLimit / 2 ** 30} GiB, more than seal accepts for a layer`,
      );
    });
    onEnd?.(form.form(size));
  } finally {
    await pieces.return(undefined);
  }
}

/**
 * Hashes a layer as it is stored, without looking into it.
 * @param onStored see {@link UnpackOptions}
 * @param memory see {@link storedPieces}
 * @throws SealError `input` unless it has its digest
 */
export async function hashLayer(
  { file, digest }: Pick<Layer, "file" | "digest">,
  onStored: (bytes: number) => void,
  memory?: PieceMemory,
): Promise<void> {
  const options = { subject: file.subject, what: THE_BLOB, readsAhead: true };
  const stored = storedPieces(file, READ_AT_ONCE, memory);
  const pieces = verified(stored, digest, options, (_, bytes) => onStored(bytes));
  for await (const _ of pieces);
}

/** {@link hashLayer} on this thread, which does nothing else meanwhile. @throws SealError as that does */
export function hashLayerHere(
  { file, digest }: Pick<Layer, "file" | "digest">,
  onStored: (bytes: number) => void,
  memory: PieceMemory,
): void {
  const hash = digest === null ? null : pieceHash(digest.algorithm);
  try {
    let bytes = 0;
    for (const piece of storedPiecesHere(file, memory)) {
      hash?.updateHere(piece);
      bytes += piece.length;
      onStored(bytes);
    }
    checkDigest(hash?.digest() ?? null, digest, file.subject, THE_BLOB);
  } finally {
    hash?.free();
  }
}

/** What is hashed as it is stored, in messages. */
const THE_BLOB = "the blob";

async function* startingWith(first: Uint8Array, pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (first.length > 0) yield first;
  yield* pieces;
}

interface VerifiedOptions {
  readonly subject: string;
  /** What has the digest, in messages. */
  readonly what: string;
  /**
   * Whether the next piece is asked for while one is hashed, which has to be good until the one after the next is:
   * for a caller that has nothing else to do meanwhile. Default: no.
   */
  readonly readsAhead?: boolean;
  /** Whether this thread hashes; default: another one does, see `piece-hash.ts`. */
  readonly isSmall?: boolean;
}

/**
 * Passes a stream on, and fails at its end unless it has the digest. Each piece is hashed on another thread
 * while it is worked on.
 * @param onPiece gets each piece, and how many bytes there are with it
 */
async function* verified(
  pieces: AsyncIterable<Uint8Array>,
  digest: BlobDigest | null,
  { subject, what, readsAhead = false, isSmall = false }: VerifiedOptions,
  onPiece: (piece: Uint8Array, bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  const hash = digest === null ? null : (isSmall ? hashHere : pieceHash)(digest.algorithm);
  let bytes = 0;
  let hashing: Promise<void> | null = null;
  try {
    for await (const piece of pieces) {
      await hashing;
      bytes += piece.length;
      onPiece(piece, bytes);
      hashing = hash?.update(piece) ?? null;
      // What goes wrong is thrown where it is waited for.
      hashing?.catch(() => {});
      yield piece;
      if (!readsAhead) await hashing;
    }
    await hashing;
    checkDigest(hash?.digest() ?? null, digest, subject, what);
  } finally {
    // Who wants no more of it must not take the piece from the thread that hashes it.
    await hashing?.catch(() => {});
    hash?.free();
  }
}

/** @throws SealError `input` when bytes don't have the digest that they are named by */
export function checkBlob(bytes: Uint8Array, digest: BlobDigest, subject: string): void {
  checkDigest(createHash(digest.algorithm).update(bytes).digest("hex"), digest, subject, THE_BLOB);
}

function isSame(a: BlobDigest, b: BlobDigest | null): boolean {
  return a.algorithm === b?.algorithm && a.hex === b.hex;
}

function checkDigest(found: string | null, digest: BlobDigest | null, subject: string, what: string): void {
  if (digest === null || found === digest.hex) return;
  throw inputError(
    subject,
    `${what} has the digest ${digest.algorithm}:${found ?? ""}, not ${formatBlobDigest(digest)}: the image is damaged or was changed`,
  );
}
