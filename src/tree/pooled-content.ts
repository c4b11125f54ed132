/** Contents whose digests lie one after the other in memory that many files share. */
import type { DigestSlab, ExternalContent } from "./node.ts";

/**
 * Content outside of the image whose digest is a place in a slab. A view of each digest would take as much memory as
 * all else that a tree has of a file, so {@link PooledContent.digest} makes one when it is asked for; the functions
 * below need none.
 */
export class PooledContent implements ExternalContent {
  readonly kind = "external";
  readonly size: bigint;
  readonly slab: DigestSlab;
  readonly digestAt: number;

  /** @param digestAt where the digest begins in the slab */
  constructor(size: bigint, slab: DigestSlab, digestAt: number) {
    this.size = size;
    this.slab = slab;
    this.digestAt = digestAt;
  }

  get digest(): Uint8Array {
    return this.slab.bytes.subarray(this.digestAt, this.digestAt + this.slab.digestLength);
  }

  get payload(): "digest" {
    return "digest";
  }
}

/** Memory with the digest of a file, which begins at {@link digestStart}; null: it has none. */
export function digestMemory(content: ExternalContent): Uint8Array | null {
  // `digest` is not touched where it would have to be made.
  return content.slab === undefined ? content.digest : content.slab.bytes;
}

/** Where the digest of a file begins in its {@link digestMemory}. */
export function digestStart(content: ExternalContent): number {
  return content.digestAt ?? 0;
}

/** How long the digest of a file is, in bytes; null: it has none. */
export function digestLength(content: ExternalContent): number | null {
  return content.slab === undefined ? (content.digest?.length ?? null) : content.slab.digestLength;
}
