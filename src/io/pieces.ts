/** What several threads hash together, in pieces: each has its part of the Merkle tree, and one puts these together. */
import type { VerityAlgorithm } from "../composefs/series.ts";
import { branchSize, VERITY_HASHES, VerityHasher, verityDigest } from "../composefs/verity.ts";
import { type ByteBatch, bytesIn, newByteBatch } from "./hash-batch.ts";

/**
 * Something of more than one block, of which all but the last piece have a multiple of `branchSize` bytes, see
 * `VerityHasher.branches`.
 */
export class Pieces {
  readonly #sizes: number[] = [];
  readonly #branches: Uint8Array[] = [];
  #missing = 0;

  /** How many there are. */
  get count(): number {
    return this.#sizes.length;
  }

  /** Adds the next piece. @returns its number */
  add(size: number): number {
    this.#missing++;
    return this.#sizes.push(size) - 1;
  }

  /** Takes what there is of a piece. @returns whether that was all of those that have been added */
  store(piece: number, branches: Uint8Array): boolean {
    this.#branches[piece] = branches;
    return --this.#missing === 0;
  }

  /** Writes the digest of all pieces into an array. */
  digestInto(array: Uint8Array, algorithm: VerityAlgorithm): void {
    const hasher = new VerityHasher(algorithm);
    for (const [piece, size] of this.#sizes.entries()) {
      hasher.addBranches(this.#branches[piece] ?? new Uint8Array(0), size);
    }
    hasher.digestInto(array, 0);
  }
}

/** Where batches go to be hashed. */
export interface PieceQueue {
  /** @param store gets the branches of the batch */
  readonly queue: (batch: ByteBatch, store: (branches: Uint8Array) => void) => void;
  /** Ends when all that was queued has been stored. @throws SealError what went wrong */
  readonly finish: () => Promise<void>;
}

/** Computes the fs-verity digest of bytes that come in chunks of any size, and that others hash while more come. */
export class PieceHasher {
  readonly #algorithm: VerityAlgorithm;
  readonly #queue: PieceQueue;
  readonly #pieces = new Pieces();
  #batch: ByteBatch;
  /** How many bytes of the batch are there, less than all. */
  #used = 0;

  constructor(algorithm: VerityAlgorithm, queue: PieceQueue) {
    this.#algorithm = algorithm;
    this.#queue = queue;
    this.#batch = this.#newBatch();
  }

  #newBatch(): ByteBatch {
    return newByteBatch(this.#algorithm, PIECE_BRANCHES * branchSize(this.#algorithm));
  }

  /** Adds the next bytes. The chunk may be reused afterwards. */
  update(chunk: Uint8Array): void {
    for (let offset = 0; offset < chunk.length; ) {
      const length = Math.min(chunk.length - offset, this.#batch.size - this.#used);
      bytesIn(this.#batch).set(chunk.subarray(offset, offset + length), this.#used);
      this.#used += length;
      offset += length;
      if (this.#used === this.#batch.size) this.#post();
    }
  }

  /** The digest of all bytes so far. Ends this hasher. */
  async digest(): Promise<Uint8Array> {
    // A single block has no Merkle tree.
    if (this.#pieces.count === 0) return verityDigest(bytesIn(this.#batch).subarray(0, this.#used), this.#algorithm);
    if (this.#used > 0) this.#post();
    await this.#queue.finish();
    const digest = new Uint8Array(VERITY_HASHES[this.#algorithm].length);
    this.#pieces.digestInto(digest, this.#algorithm);
    return digest;
  }

  #post(): void {
    const piece = this.#pieces.add(this.#used);
    this.#queue.queue({ ...this.#batch, size: this.#used }, (branches) => this.#pieces.store(piece, branches));
    this.#batch = this.#newBatch();
    this.#used = 0;
  }
}

/** Half a MiB with SHA-512: what a thread hashes in a millisecond. */
const PIECE_BRANCHES = 2;
