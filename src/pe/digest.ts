/** Hashes of files and sections that are chunk lists. */
import { createHash } from "node:crypto";
import { toHex } from "../bytes.ts";
import { byteLength, type Chunks, forEachPiece, StoredBytes } from "../chunks.ts";

export type DigestAlgorithm = "sha1" | "sha256" | "sha384" | "sha512";

/** From so many bytes on a digest is kept: predictions and reports ask for those of a kernel or an initramfs again. */
const LARGE = 1 << 20;
type Digests = Map<DigestAlgorithm, Uint8Array>;
/** By what holds the bytes, which are not changed once they have been read: then by place in it. */
const keptDigests = new WeakMap<object, Map<string, Digests>>();

/** The hash of all chunks in order. */
export function digestOf(algorithm: DigestAlgorithm, content: Chunks): Uint8Array {
  const length = byteLength(content);
  const digests: Digests = length < LARGE ? new Map() : digestsKept(content);
  const known = digests.get(algorithm);
  if (known !== undefined) return known;
  const hash = createHash(algorithm);
  forEachPiece(content, 0, length, (piece) => hash.update(piece));
  const digest = hash.digest();
  digests.set(algorithm, digest);
  return digest;
}

/** Whether {@link digestOf} has to hash, and that takes long enough for {@link keepDigest} to spare it. */
export function isWorthAhead(algorithm: DigestAlgorithm, content: Chunks): boolean {
  return byteLength(content) >= LARGE && !digestsKept(content).has(algorithm);
}

/** Has {@link digestOf} give what was computed elsewhere. @param content for which {@link isWorthAhead} */
export function keepDigest(algorithm: DigestAlgorithm, content: Chunks, digest: Uint8Array): void {
  digestsKept(content).set(algorithm, digest);
}

/** SHA-256 of all chunks in order, lower-case hex. */
export function sha256Hex(chunks: Chunks): string {
  return toHex(digestOf("sha256", chunks));
}

/**
 * What is known of a content: the same list, or one part of the same memory, as a section of the UKI
 * that it went into is.
 */
function digestsKept(content: Chunks): Digests {
  const [part, ...others] = content instanceof StoredBytes ? [] : content;
  const isPart = part !== undefined && others.length === 0;
  const owner = isPart ? part.buffer : content;
  const place = isPart ? `${part.byteOffset} ${part.length}` : "";
  const places = keptDigests.get(owner) ?? new Map<string, Digests>();
  keptDigests.set(owner, places);
  const digests = places.get(place) ?? new Map<DigestAlgorithm, Uint8Array>();
  places.set(place, digests);
  return digests;
}
