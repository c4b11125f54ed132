/**
 * Which of the arguments that name digests count: for bootc when it pulls an image, and for the program in the
 * initramfs that mounts the root.
 */
import type { FormatDigest } from "../composefs/host-digests.ts";
import type { DigestReader } from "../composefs/series.ts";
import { type CmdlineDigest, type ComposefsWord, digestsOf, isMalformed } from "./cmdline.ts";

/** The argument that a program reads which reads only one; null if it finds none. */
export function readDigest(words: readonly ComposefsWord[], reader: DigestReader): ComposefsWord | null {
  // bootc is built for SHA-512; a long argument with another hash is skipped, a short one can't be read.
  const long = words.find(
    (word) => word.form === "composefs.digest" && (isMalformed(word) || word.algorithm === "sha512"),
  );
  if (reader === "composefs.digest" && long !== undefined) return long;
  return words.find((word) => word.form === "composefs") ?? null;
}

/**
 * The digests that a program in the initramfs looks up, in its order; empty if it can't read its argument.
 * @param words of the command line
 */
export function triedDigests(words: readonly ComposefsWord[], reader: DigestReader): readonly CmdlineDigest[] {
  if (reader === "all") return digestsOf(words);
  const word = readDigest(words, reader);
  return word === null || isMalformed(word) || word.algorithm !== "sha512" ? [] : [word];
}

/** Those that bootc 1.17 and newer compare: a long argument with another hash is skipped. */
export function comparedWords(words: readonly ComposefsWord[]): readonly ComposefsWord[] {
  return words.filter((word) => word.form === "composefs" || isMalformed(word) || word.algorithm === "sha512");
}

/**
 * The digest after which bootc 1.17 and newer name the deployment: the first V1 digest in the long form, else the
 * first.
 */
export function primaryDigest(digests: readonly CmdlineDigest[]): CmdlineDigest | null {
  return digests.find(({ erofs }) => erofs === "v1") ?? digests[0] ?? null;
}

/**
 * Whether an argument names one of the images that were found: the long form includes the format, the short one does
 * not.
 */
export function isFound({ erofs, digest }: CmdlineDigest, found: readonly FormatDigest[]): boolean {
  return found.some((one) => one.digest === digest && (erofs === null || erofs === one.erofs));
}
