/** The hash of a stream, on another thread where that is worth the way there. */
import { createHash } from "node:crypto";
import { toHex } from "../../bytes.ts";
import { HashBeside } from "../hash-beside.ts";

/** A call on another thread costs as much as hashing some 20 KiB. */
const WORTH_WAY = 64 << 10;

export interface PieceHash {
  /** @returns null: it is hashed; else it must stay as it is, and nothing else be called, until this has ended */
  update(piece: Uint8Array): Promise<void> | null;
  /** Hashes a piece on this thread. */
  updateHere(piece: Uint8Array): void;
  /** The hash of all pieces, in lower-case hex. */
  digest(): string;
  free(): void;
}

/** Hashes all pieces on this thread. @param algorithm as node:crypto names it */
export function hashHere(algorithm: string): PieceHash {
  const hash = createHash(algorithm);
  const updateHere = (piece: Uint8Array) => void hash.update(piece);
  const update = (piece: Uint8Array) => {
    updateHere(piece);
    return null;
  };
  return { update, updateHere, digest: () => hash.digest("hex"), free: () => {} };
}

/**
 * @param algorithm as node:crypto names it
 * @param find see {@link HashBeside.of}
 */
export function pieceHash(algorithm: string, find?: (prototype: string) => unknown): PieceHash {
  const beside = HashBeside.of(algorithm, find);
  if (beside === null) return hashHere(algorithm);
  const check = (isDone: boolean) => {
    if (!isDone) throw new Error("libcrypto can't hash");
  };
  const updateHere = (piece: Uint8Array) => check(beside.updateHere(piece));
  return {
    update: (piece) => {
      if (piece.length >= WORTH_WAY) return beside.update(piece).then(check);
      updateHere(piece);
      return null;
    },
    updateHere,
    digest: () => {
      const digest = beside.digest();
      check(digest !== null);
      return toHex(digest ?? new Uint8Array());
    },
    free: () => beside.free(),
  };
}
