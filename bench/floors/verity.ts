/**
 * fs-verity with SHA-512 of files that are read whole, or of pieces of 1 MiB. Left out of what seal has: streams,
 * SHA-256, and other ways to hash where node's libcrypto can't be called.
 */
import { addressOf, sha512 } from "./calls.ts";

const BLOCK = 4096;
export const HASH = 64;
/** Bytes of a piece, which has {@link PIECE_HASHES} hashes in level 1 of the tree. */
export const PIECE = 1 << 20;
export const PIECE_HASHES = PIECE / (BLOCK * (BLOCK / HASH));

/** Bytes for the hashes of each level of a piece, a block of zeros after them included. */
const LEVEL = PIECE / (BLOCK / HASH) + BLOCK;
const DESCRIPTOR_AT = PIECE + 4 * LEVEL;
const CONTEXT_AT = DESCRIPTOR_AT + 256;
const DIGEST_AT = CONTEXT_AT + 256;

/** Data is to be put at its beginning, which has this address. */
export const memory = new Uint8Array(DIGEST_AT + HASH);
export const base = addressOf(memory);

/** The digest of a file that is in the memory, whole: good until the next call. */
export function fileDigest(size: number): Uint8Array {
  return withDescriptor(size === 0 ? PIECE : root(size), size);
}

/** The hashes in level 1 of a piece that is in the memory. */
export function pieceHashes(size: number): Uint8Array {
  const length = hashLevel(PIECE, hashLevel(0, size, PIECE), PIECE + LEVEL);
  return memory.subarray(PIECE + LEVEL, PIECE + LEVEL + length);
}

/** The digest of a file of which all pieces are known, in order. */
export function digestOfPieces(hashes: Uint8Array, size: number): Uint8Array {
  memory.set(hashes);
  return withDescriptor(root(hashes.length), size);
}

/** @returns where the hash of the top block is */
function root(size: number): number {
  let from = 0;
  let to = PIECE;
  for (let length = size; from === 0 || length > HASH; to += LEVEL) {
    length = hashLevel(from, length, to);
    from = to;
  }
  return from;
}

/** Hashes blocks. @returns how many bytes the hashes have */
function hashLevel(from: number, length: number, to: number): number {
  const end = from + length;
  if (length % BLOCK > 0) memory.fill(0, end, end + BLOCK - (length % BLOCK));
  let at = to;
  for (let block = from; block < end; block += BLOCK, at += HASH)
    sha512(base + CONTEXT_AT, base + block, BLOCK, base + at);
  return at - to;
}

function withDescriptor(rootAt: number, size: number): Uint8Array {
  memory.fill(0, DESCRIPTOR_AT, CONTEXT_AT);
  memory.set([1, 2, 12], DESCRIPTOR_AT); // version, SHA-512, log2 of the block size
  new DataView(memory.buffer).setBigUint64(DESCRIPTOR_AT + 8, BigInt(size), true);
  if (size > 0) memory.copyWithin(DESCRIPTOR_AT + 16, rootAt, rootAt + HASH);
  sha512(base + CONTEXT_AT, base + DESCRIPTOR_AT, 256, base + DIGEST_AT);
  return memory.subarray(DIGEST_AT, DIGEST_AT + HASH);
}
