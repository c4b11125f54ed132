/** Content digests (OCI image specification, "Descriptors", section "Digests"): `sha256:` and 64 hex digits. */

/** Algorithms that are registered; both are checked while a blob streams. */
export type BlobAlgorithm = "sha256" | "sha512";

/** A digest that is well formed, so that it can become a file name. */
export interface BlobDigest {
  readonly algorithm: BlobAlgorithm;
  /** Lower-case hex. */
  readonly hex: string;
}

const PATTERN = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** @returns null for anything else: unregistered algorithms, upper case, paths */
export function parseBlobDigest(text: string): BlobDigest | null {
  if (!PATTERN.test(text)) return null;
  return { algorithm: text.startsWith("sha256") ? "sha256" : "sha512", hex: text.slice(7) };
}

export function formatBlobDigest({ algorithm, hex }: BlobDigest): string {
  return `${algorithm}:${hex}`;
}
