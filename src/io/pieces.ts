/** What several threads hash together, in pieces: each has its part of the Merkle tree, and one puts these together. */
import type { VerityAlgorithm } from "../composefs/series.ts";
import { branchSize, VERITY_HASHES, VerityHasher, verityDigest } from "../composefs/verity.ts";
import { type ByteBatch, claim, newByteBatch, offer, spaceIn, takeResult } from "./hash-batch.ts";
import { hashBytes } from "./hash-file.ts";

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

/** The other threads that hash. */
export interface PieceQueue {
  /** Tells them of a batch, which whoever takes it first hashes. */
  readonly post: (batch: ByteBatch) => void;
  /** Ends when one of them has hashed one. @throws SealError what went wrong */
  readonly answer: () => Promise<void>;
}

/** A batch that any thread may hash, and which piece it is. */
interface OfferedBatch {
  readonly batch: ByteBatch;
  readonly piece: number;
}

/**
 * Computes the fs-verity digest of bytes that come in chunks of any size, and that other threads hash while more come.
 * Memory: some MiB, which serve one piece after the other: new memory costs as much as half of the hashing.
 */
export class PieceHasher {
  readonly #algorithm: VerityAlgorithm;
  readonly #queue: PieceQueue;
  readonly #pieces = new Pieces();
  /** The oldest first. */
  #offered: OfferedBatch[] = [];
  #batch: ByteBatch;
  /** How many bytes of the batch are there, less than all. */
  #used = 0;

  constructor(algorithm: VerityAlgorithm, queue: PieceQueue) {
    this.#algorithm = algorithm;
    this.#queue = queue;
    this.#batch = this.#newBatch();
  }

  #newBatch(): ByteBatch {
    const capacity = PIECE_BRANCHES * branchSize(this.#algorithm);
    return newByteBatch(this.#algorithm, capacity, PIECE_BRANCHES * VERITY_HASHES[this.#algorithm].length);
  }

  /** Adds the next bytes. The chunk may be reused afterwards. */
  update(chunk: Uint8Array): void {
    for (let offset = 0; offset < chunk.length; ) {
      const length = Math.min(chunk.length - offset, this.#batch.capacity - this.#used);
      spaceIn(this.#batch).set(chunk.subarray(offset, offset + length), this.#used);
      this.#used += length;
      offset += length;
      if (this.#used < this.#batch.capacity) continue;
      this.#offer();
      this.#batch = this.#freeBatch();
    }
  }

  #offer(): void {
    this.#offered.push({ batch: this.#batch, piece: this.#pieces.add(this.#used) });
    offer(this.#batch, this.#used);
    this.#queue.post(this.#batch);
    this.#used = 0;
  }

  /** Memory for the next piece: that of one that is done, or one that is hashed here because the others have too much. */
  #freeBatch(): ByteBatch {
    const done = this.#offered.find((offered) => this.#collect(offered));
    if (done !== undefined) return this.#take(done);
    if (this.#offered.length < BATCHES) return this.#newBatch();
    const own = this.#offered.find(({ batch }) => claim(batch));
    if (own === undefined) return this.#newBatch();
    hashBytes(own.batch);
    this.#collect(own);
    return this.#take(own);
  }

  #take(offered: OfferedBatch): ByteBatch {
    this.#offered.splice(this.#offered.indexOf(offered), 1);
    return offered.batch;
  }

  /** @returns whether a batch is done */
  #collect({ batch, piece }: OfferedBatch): boolean {
    const branches = takeResult(batch);
    if (branches !== null) this.#pieces.store(piece, branches);
    return branches !== null;
  }

  /** The digest of all bytes so far. Ends this hasher. @throws SealError when a thread has failed */
  async digest(): Promise<Uint8Array> {
    // A single block has no Merkle tree.
    if (this.#pieces.count === 0) return verityDigest(spaceIn(this.#batch).subarray(0, this.#used), this.#algorithm);
    if (this.#used > 0) this.#offer();
    for (const { batch } of this.#offered) if (claim(batch)) hashBytes(batch);
    for (;;) {
      this.#offered = this.#offered.filter((offered) => !this.#collect(offered));
      if (this.#offered.length === 0) break;
      await this.#queue.answer();
    }
    const digest = new Uint8Array(VERITY_HASHES[this.#algorithm].length);
    this.#pieces.digestInto(digest, this.#algorithm);
    return digest;
  }
}

/** Half a MiB with SHA-512: what a thread hashes in a millisecond. */
const PIECE_BRANCHES = 2;
/** How many pieces wait to be hashed, or are hashed, before the thread that makes them hashes one itself. */
const BATCHES = 8;
