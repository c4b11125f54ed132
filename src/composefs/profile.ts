/**
 * Which bootc release computes which digest: the composefs-rs revision that it embeds decides on the EROFS version, the
 * transforms and their details. Releases of one line behave alike.
 */
import type { TransformRules } from "../tree/transform.ts";

export type ErofsVersion = "v0" | "v1" | "v2";
export type VerityAlgorithm = "sha512" | "sha256";

/** How one line of bootc releases turns a tree into a digest. */
export interface Profile {
  /** First and last release of the line, for people: `1.16.4–1.16.9`. */
  readonly line: string;
  /** Releases, oldest first, by their version. `next` stands for the one to come. */
  readonly releases: readonly string[];
  /** composefs-rs revision or version. */
  readonly composefs: string;
  readonly erofs: ErofsVersion;
  readonly rules: TransformRules;
  /** Whether it can keep `user.*` xattrs. */
  readonly keepUser: boolean;
}
