/** Hashes large contents on other threads in advance, so that their digests are ready when they are needed. */
import { byteLength, type Chunks, StoredBytes } from "../chunks.ts";
import { hashBeside } from "../io/hash-beside.ts";
import { type DigestAlgorithm, isWorthAhead, keepDigest } from "../pe/digest.ts";

/** Smaller contents are hashed faster than native code is loaded. */
const WORTH_LOADING = 16 << 20;
/** Largest first, so that no thread works alone at the end. */
const SLOWEST_FIRST = ["sha512", "sha384", "sha1", "sha256"] as const;

/** Computes digests for `digestOf` to find; contents that are small or not in memory are left to it. */
export async function hashAhead(contents: readonly Chunks[], algorithms: readonly DigestAlgorithm[]): Promise<void> {
  const wanted = SLOWEST_FIRST.filter((algorithm) => algorithms.includes(algorithm)).flatMap((algorithm) =>
    contents.flatMap((content) =>
      content instanceof StoredBytes || !isWorthAhead(algorithm, content) ? [] : [{ algorithm, content }],
    ),
  );
  if (wanted.reduce((sum, { content }) => sum + byteLength(content), 0) < WORTH_LOADING) return;
  await Promise.all(
    wanted.map(async ({ algorithm, content }) => {
      const digest = await hashBeside(algorithm, content);
      if (digest !== null) keepDigest(algorithm, content, digest);
    }),
  );
}
