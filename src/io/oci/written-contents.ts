/**
 * Contents of files of a layer that this run wrote, still in memory with their digests. A digest is a function of the
 * bytes alone, so what is read back needs no hash of its own where all its bytes are the same.
 */
import { equalBytes, latin1 } from "../../bytes.ts";
import { byteLength, type Chunks, readRange, StoredBytes } from "../../chunks.ts";
import type { VerityAlgorithm } from "../../composefs/series.ts";
import { VerityHasher } from "../../composefs/verity.ts";
import type { LayerEntry } from "../../tree/build.ts";

/** A content that has been hashed, and its fs-verity digest. */
export interface WrittenContent {
  readonly chunks: readonly Uint8Array[];
  readonly size: bigint;
  readonly digest: Uint8Array;
}

/** By path in the archive, as Latin-1. */
export type WrittenContents = ReadonlyMap<string, WrittenContent>;

/** Those contents of a layer that are in memory and have been hashed. */
export function writtenContents(
  entries: readonly LayerEntry<Chunks>[],
  digests: ReadonlyMap<Chunks, Uint8Array>,
): WrittenContents {
  const written = new Map<string, WrittenContent>();
  for (const { path, item } of entries) {
    if (item.kind !== "regular" || item.content instanceof StoredBytes) continue;
    const digest = digests.get(item.content);
    if (digest === undefined) continue;
    written.set(latin1(path), { chunks: item.content, size: BigInt(byteLength(item.content)), digest });
  }
  return written;
}

/** The fs-verity digest of a content that comes in pieces: that of a written one as long as no byte differs. */
export class WrittenHasher {
  readonly #written: WrittenContent;
  readonly #algorithm: VerityAlgorithm;
  /** Bytes from the start that are the same. */
  #same = 0;
  /** Once there was a difference. */
  #hasher: VerityHasher | null = null;

  /**
   * @param written as long as the content that comes
   * @param algorithm of its digest
   */
  constructor(written: WrittenContent, algorithm: VerityAlgorithm) {
    this.#written = written;
    this.#algorithm = algorithm;
  }

  /** Adds the next bytes. */
  update(piece: Uint8Array): void {
    if (this.#hasher === null && this.#isNext(piece)) {
      this.#same += piece.length;
      return;
    }
    this.#hasher ??= this.#hasherOfSame();
    this.#hasher.update(piece);
  }

  /** The digest of all bytes, which have come. */
  digest(): Uint8Array {
    if (this.#hasher !== null) return this.#hasher.digest();
    const { size, digest } = this.#written;
    if (BigInt(this.#same) !== size) throw new Error("the content has not ended");
    return digest;
  }

  #isNext(piece: Uint8Array): boolean {
    let at = 0;
    for (const part of readRange(this.#written.chunks, this.#same, this.#same + piece.length)) {
      if (!equalBytes(part, piece.subarray(at, at + part.length))) return false;
      at += part.length;
    }
    return true;
  }

  #hasherOfSame(): VerityHasher {
    const hasher = new VerityHasher(this.#algorithm);
    for (const part of readRange(this.#written.chunks, 0, this.#same)) hasher.update(part);
    return hasher;
  }
}
