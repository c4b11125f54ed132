/** The composefs digest of a tree: the fs-verity digest of its EROFS image, hashed while the image is written. */
import { toHex } from "../bytes.ts";
import type { Directory } from "../tree/node.ts";
import type { ImageOptions } from "./inodes.ts";
import type { ErofsVersion, VerityAlgorithm } from "./profile.ts";
import { VerityHasher } from "./verity.ts";
import { writeImage } from "./writer.ts";

/** A digest in lower-case hex, 128 or 64 digits. */
export type DigestHex = string & { readonly __brand: "DigestHex" };

export interface ComposefsDigest {
  readonly erofs: ErofsVersion;
  readonly algorithm: VerityAlgorithm;
  readonly digest: DigestHex;
  /** Size of the image. */
  readonly imageBytes: number;
}

/**
 * The digest of a tree as it is, without any transform.
 * @throws SealError `input` naming the path for what the format can't store
 */
export function imageDigest(root: Directory, options: ImageOptions): ComposefsDigest {
  const hasher = new VerityHasher(options.algorithm);
  let imageBytes = 0;
  for (const chunk of writeImage(root, options)) {
    hasher.update(chunk);
    imageBytes += chunk.length;
  }
  const { erofs, algorithm } = options;
  return { erofs, algorithm, digest: toHex(hasher.digest()) as DigestHex, imageBytes };
}
