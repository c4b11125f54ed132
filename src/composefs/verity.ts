/**
 * fs-verity digests (Linux Documentation/filesystems/fsverity.rst, "Merkle tree" and "fs-verity descriptor"):
 * SHA-512 or SHA-256 over 4096-byte blocks, without salt. This is the hot loop of seal: every byte of a root
 * filesystem goes through it, so blocks are hashed straight into the block of the level above, in memory that
 * serves one file after the other.
 */
import { type HashMemory, type HashMemoryMaker, hashMemoryMaker } from "./hash-memory.ts";
import type { VerityAlgorithm } from "./series.ts";

/** Block size of the Merkle tree. */
export const VERITY_BLOCK_SIZE = 4096;
const DESCRIPTOR_SIZE = 256;
/** Offset of the root hash in the descriptor. */
const ROOT_OFFSET = 16;

/** What fs-verity knows of a hash: its number (`FS_VERITY_HASH_ALG_*`) and its length in bytes. */
export const VERITY_HASHES: Readonly<Record<VerityAlgorithm, { readonly id: number; readonly length: number }>> = {
  sha256: { id: 1, length: 32 },
  sha512: { id: 2, length: 64 },
};

/**
 * Bytes below one hash in level 1 of a tree. A piece of a file for {@link VerityHasher.branches} has fewer than
 * `hashes a block` times as many.
 */
export function branchSize(algorithm: VerityAlgorithm): number {
  return (VERITY_BLOCK_SIZE / VERITY_HASHES[algorithm].length) * VERITY_BLOCK_SIZE;
}

/** Bytes that are hashed together: as many as a file is read in at once. */
const STAGE_SIZE = 1 << 20;
/** What is copied to be hashed is copied in pieces that stay in the cache of the processor. */
const COPY_SIZE = 1 << 16;
/** Levels of the tree of the longest file there can be, of 2^53 bytes, with SHA-512. */
const LEVELS = 8;

/** Where things are in the memory of a hasher: the data, the blocks of the levels, the descriptor, its hash. */
const LEVELS_AT = STAGE_SIZE;
const DESCRIPTOR_AT = LEVELS_AT + LEVELS * VERITY_BLOCK_SIZE;
const DIGEST_AT = DESCRIPTOR_AT + DESCRIPTOR_SIZE;
const MEMORY_SIZE = DIGEST_AT + 64;

/**
 * What a hasher works with. One that has ended leaves it to the next: allocating it for each small file would
 * cost more than hashing.
 */
interface Workspace {
  readonly memory: HashMemory;
  /** What made the memory. */
  readonly maker: HashMemoryMaker;
  readonly stage: Uint8Array;
  /** Where a digest is computed. */
  readonly digest: Uint8Array;
  /** Bytes in use in the block of each level, less than all of it. Level 0 has the hashes of the data. */
  readonly filled: Int32Array;
}

const spare: Record<VerityAlgorithm, Workspace[]> = { sha256: [], sha512: [] };

function takeWorkspace(algorithm: VerityAlgorithm): Workspace {
  const maker = hashMemoryMaker();
  let known = spare[algorithm].pop();
  // What was made before there was a better maker is dropped.
  while (known !== undefined && known.maker !== maker) known = spare[algorithm].pop();
  if (known !== undefined) return known;
  const memory = maker(algorithm, MEMORY_SIZE);
  const { bytes } = memory;
  const digest = bytes.subarray(DIGEST_AT, DIGEST_AT + VERITY_HASHES[algorithm].length);
  return { memory, maker, stage: bytes.subarray(0, STAGE_SIZE), digest, filled: new Int32Array(LEVELS) };
}

/**
 * Gets a block of the Merkle tree; level 0 has the hashes of the data. The blocks of one level come in order. The block
 * is valid until it returns.
 */
export type TreeBlockSink = (level: number, block: Uint8Array) => void;

/**
 * Computes the fs-verity digest of bytes that come in pieces. Memory: a little more than 1 MiB, however
 * many bytes there are.
 */
export class VerityHasher {
  readonly #algorithm: VerityAlgorithm;
  readonly #hashLength: number;
  readonly #workspace: Workspace;
  /** Bytes that wait in the stage, less than all of it. */
  #staged = 0;
  #size = 0;
  /** How many levels there are so far. */
  #levels = 0;
  readonly #onTreeBlock: TreeBlockSink | null;

  /** @param onTreeBlock gets the blocks of the Merkle tree, for those who want to store it */
  constructor(algorithm: VerityAlgorithm, onTreeBlock: TreeBlockSink | null = null) {
    this.#algorithm = algorithm;
    this.#hashLength = VERITY_HASHES[algorithm].length;
    this.#workspace = takeWorkspace(algorithm);
    this.#onTreeBlock = onTreeBlock;
  }

  /** Adds the next bytes; pieces of any size make the same digest. The chunk may be reused afterwards. */
  update(chunk: Uint8Array): void {
    const { stage } = this.#workspace;
    for (let offset = 0; offset < chunk.length; ) {
      const length = Math.min(chunk.length - offset, COPY_SIZE - (this.#staged % VERITY_BLOCK_SIZE));
      stage.set(chunk.subarray(offset, offset + length), this.#staged);
      this.advance(length);
      offset += length;
    }
  }

  /**
   * Memory for the next bytes: {@link advance} adds as many as were put there. It spares the copy that
   * {@link update} makes.
   */
  get space(): Uint8Array {
    const { stage } = this.#workspace;
    return this.#staged === 0 ? stage : stage.subarray(this.#staged);
  }

  /** Adds the first so many bytes of {@link space}. */
  advance(length: number): void {
    this.#size += length;
    const staged = this.#staged + length;
    const rest = staged % VERITY_BLOCK_SIZE;
    const whole = staged - rest;
    for (let at = 0; at < whole; at += VERITY_BLOCK_SIZE) this.#add(0, at);
    if (whole > 0 && rest > 0) this.#workspace.stage.copyWithin(0, whole, staged);
    this.#staged = rest;
  }

  /** The digest of all bytes so far, 64 or 32 bytes. Ends this hasher: it must not be used any more. */
  digest(): Uint8Array {
    const digest = new Uint8Array(this.#hashLength);
    this.digestInto(digest, 0);
    return digest;
  }

  /** {@link digest}, written into an array. */
  digestInto(array: Uint8Array, at: number): void {
    this.nextDigestInto(array, at);
    this.end();
  }

  /** Writes the digest of all bytes so far into an array. What is added next is another file. */
  nextDigestInto(array: Uint8Array, at: number): void {
    this.#fillDescriptor();
    const { memory, digest, filled } = this.#workspace;
    memory.hash(DESCRIPTOR_AT, DESCRIPTOR_SIZE, DIGEST_AT);
    array.set(digest, at);
    filled.fill(0);
    this.#size = 0;
    this.#levels = 0;
  }

  /** The `fsverity_descriptor` of all bytes so far, 256 bytes, whose hash is the digest. Ends this hasher, too. */
  descriptor(): Uint8Array {
    this.#fillDescriptor();
    const descriptor = new Uint8Array(
      this.#workspace.memory.bytes.subarray(DESCRIPTOR_AT, DESCRIPTOR_AT + DESCRIPTOR_SIZE),
    );
    this.end();
    return descriptor;
  }

  /**
   * The hashes in level 1 of the tree of all bytes so far, one for each `branchSize`: what {@link addBranches} takes,
   * so that a file can be hashed in pieces, by several hashers at the same time. Ends this hasher.
   */
  branches(): Uint8Array {
    this.#padStage();
    this.#padLevel(0);
    const { memory, filled } = this.#workspace;
    const at = LEVELS_AT + VERITY_BLOCK_SIZE;
    const branches = new Uint8Array(memory.bytes.subarray(at, at + (filled[1] as number)));
    this.end();
    return branches;
  }

  /**
   * Adds a piece of the file by what `branches` had of it. All bytes before must have come in this way, too.
   * @param size of the piece: a multiple of `branchSize`, but for the last one
   */
  addBranches(branches: Uint8Array, size: number): void {
    this.#size += size;
    const { memory, filled } = this.#workspace;
    for (let offset = 0; offset < branches.length; offset += this.#hashLength) {
      const used = filled[1] as number;
      memory.bytes.set(branches.subarray(offset, offset + this.#hashLength), LEVELS_AT + VERITY_BLOCK_SIZE + used);
      this.#filled(1, used + this.#hashLength);
    }
  }

  /** Ends a hasher without a digest. */
  end(): void {
    this.#workspace.filled.fill(0);
    spare[this.#algorithm].push(this.#workspace);
  }

  #fillDescriptor(): void {
    this.#padStage();
    const { bytes } = this.#workspace.memory;
    bytes.fill(0, DESCRIPTOR_AT, DESCRIPTOR_AT + DESCRIPTOR_SIZE);
    bytes[DESCRIPTOR_AT] = 1; // version
    bytes[DESCRIPTOR_AT + 1] = VERITY_HASHES[this.#algorithm].id;
    bytes[DESCRIPTOR_AT + 2] = 12; // log2 of the block size
    for (let index = 0, rest = this.#size; rest > 0; index++, rest = Math.floor(rest / 256)) {
      bytes[DESCRIPTOR_AT + 8 + index] = rest % 256;
    }
    // An empty file has no root hash: zeros.
    if (this.#size > 0) this.#finishLevels();
  }

  /** Hashes the last block of data, if no other one has filled it. */
  #padStage(): void {
    if (this.#staged === 0) return;
    this.#workspace.stage.fill(0, this.#staged, VERITY_BLOCK_SIZE);
    this.#staged = 0;
    this.#add(0, 0);
  }

  /** Hashes the rest of the levels, from the lowest up, and puts the hash of the top block into the descriptor. */
  #finishLevels(): void {
    const { memory, filled } = this.#workspace;
    for (let level = 0; ; level++) {
      const at = LEVELS_AT + level * VERITY_BLOCK_SIZE;
      if (level === this.#levels - 1 && filled[level] === this.#hashLength) {
        memory.bytes.copyWithin(DESCRIPTOR_AT + ROOT_OFFSET, at, at + this.#hashLength);
        return;
      }
      this.#padLevel(level);
    }
  }

  /** Hashes the block of a level that nothing more will fill, if there is anything in it. */
  #padLevel(level: number): void {
    const { memory, filled } = this.#workspace;
    const used = filled[level] as number;
    if (used === 0) return;
    const at = LEVELS_AT + level * VERITY_BLOCK_SIZE;
    memory.bytes.fill(0, at + used, at + VERITY_BLOCK_SIZE);
    filled[level] = 0;
    this.#addLevelBlock(level);
  }

  /** Hashes the block at a place into its level, and each block that this fills into the level above. */
  #add(level: number, from: number): void {
    const { memory, filled } = this.#workspace;
    const used = filled[level] as number;
    memory.hash(from, VERITY_BLOCK_SIZE, LEVELS_AT + level * VERITY_BLOCK_SIZE + used);
    this.#filled(level, used + this.#hashLength);
  }

  #filled(level: number, used: number): void {
    if (level >= this.#levels) this.#levels = level + 1;
    const isFull = used === VERITY_BLOCK_SIZE;
    this.#workspace.filled[level] = isFull ? 0 : used;
    if (isFull) this.#addLevelBlock(level);
  }

  #addLevelBlock(level: number): void {
    const at = LEVELS_AT + level * VERITY_BLOCK_SIZE;
    this.#onTreeBlock?.(level, this.#workspace.memory.bytes.subarray(at, at + VERITY_BLOCK_SIZE));
    this.#add(level + 1, at);
  }
}

/** The fs-verity digest of bytes that are there whole: 64 or 32 bytes. */
export function verityDigest(bytes: Uint8Array, algorithm: VerityAlgorithm): Uint8Array {
  const hasher = new VerityHasher(algorithm);
  hasher.update(bytes);
  return hasher.digest();
}
