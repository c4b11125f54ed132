/**
 * What a filesystem stores for a file with fs-verity besides its bytes, so that such a file can be laid out without
 * mounting that filesystem. ext4 and F2FS put it after the end of the file (Linux
 * Documentation/filesystems/fsverity.rst, "ext4"; fs/ext4/verity.c).
 */
import { alignUp } from "../bytes.ts";
import type { VerityAlgorithm } from "./series.ts";
import { VERITY_BLOCK_SIZE, VerityHasher } from "./verity.ts";

/** The metadata starts at a multiple of this, the largest page size of Linux. */
const METADATA_ALIGNMENT = 1 << 16;

/** What ext4 has after the end of a verity file. */
export interface VerityMetadata {
  /** Where it starts in the file, in bytes. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/**
 * Lays out the fs-verity metadata of bytes that come in pieces. Memory: the Merkle tree, a sixty-fourth of the bytes.
 */
export class VerityLayout {
  readonly #hasher: VerityHasher;
  /** The blocks of each level, the lowest first. */
  readonly #levels: Uint8Array[][] = [];
  #size = 0;

  constructor(algorithm: VerityAlgorithm) {
    this.#hasher = new VerityHasher(algorithm, (level, block) => {
      this.#levels[level] ??= [];
      this.#levels[level].push(new Uint8Array(block));
    });
  }

  update(chunk: Uint8Array): void {
    this.#size += chunk.length;
    this.#hasher.update(chunk);
  }

  /**
   * The metadata for all bytes so far: the levels of the tree from the root down, then a block that begins with the
   * descriptor and ends with its length. Ends this layout: it must not be used any more.
   */
  finish(): VerityMetadata {
    const descriptor = this.#hasher.descriptor();
    const tree = this.#levels.toReversed().flat();
    const bytes = Buffer.alloc((tree.length + 1) * VERITY_BLOCK_SIZE);
    for (const [index, block] of tree.entries()) bytes.set(block, index * VERITY_BLOCK_SIZE);
    bytes.set(descriptor, tree.length * VERITY_BLOCK_SIZE);
    bytes.writeUInt32LE(descriptor.length, bytes.length - 4);
    return { offset: alignUp(this.#size, METADATA_ALIGNMENT), bytes };
  }
}
