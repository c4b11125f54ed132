/** Finds out which root filesystem a UKI is for that was built and signed elsewhere. */
import { inputError } from "../errors.ts";
import type { PeImage } from "../pe/headers.ts";
import { shortDigest } from "../text.ts";
import { cmdlinesOf } from "./addons.ts";
import { type CmdlineDigest, findComposefsDigests } from "./cmdline.ts";

/**
 * The composefs digests on the command lines of a UKI, those of all profiles, each once.
 * @throws SealError `input` when a command line has none, or one that no program can read
 */
export function demandedDigests(uki: PeImage): readonly CmdlineDigest[] {
  const demanded = new Map<string, CmdlineDigest>();
  const cmdlines = cmdlinesOf(uki);
  for (const cmdline of cmdlines.length === 0 ? [""] : cmdlines) {
    const { digests, malformed } = findComposefsDigests(cmdline);
    const [broken] = malformed;
    if (broken !== undefined) throw inputError(uki.subject, `has ${broken.text} on its command line: ${broken.reason}`);
    if (digests.length === 0) {
      throw inputError(
        uki.subject,
        "has a command line without a composefs digest; build it with seal build-uki --from, from the same image",
      );
    }
    for (const digest of digests) demanded.set(`${digest.erofs ?? ""} ${digest.digest}`, digest);
  }
  return [...demanded.values()];
}

/** A digest of the image. */
export interface ImageDigest {
  readonly erofs: string;
  readonly algorithm: string;
  readonly digest: string;
}

/**
 * Finds what a UKI demands among the digests of an image.
 * @param subject the image in messages
 * @throws SealError `input` when it demands something else
 */
export function matchDemand(uki: PeImage, have: readonly ImageDigest[], subject: string): readonly ImageDigest[] {
  return demandedDigests(uki).map(({ erofs, algorithm, digest }) => {
    const found = have.find((one) => one.digest === digest && (erofs === null || one.erofs === erofs));
    if (found !== undefined) return found;
    const own = have.find((one) => one.algorithm === algorithm) ?? have[0];
    throw inputError(
      uki.subject,
      `demands the root filesystem ${shortDigest(digest, 8)}, but ${subject} has ${shortDigest(own?.digest ?? "", 8)} (${own?.erofs} ${own?.algorithm}): it was built from another image, or with another --bootc, --erofs, --xattrs, --signed-bootloader or --enroll-keys. seal diff shows how two images differ`,
    );
  });
}
