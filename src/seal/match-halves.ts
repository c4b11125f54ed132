/** Checks that both halves of a seal were given the same files, and finds out which differed. */
import { type ImageDigest, matchDemand } from "../boot/uki-demand.ts";
import { composefsDigests } from "../composefs/digest.ts";
import { inputError, SealError } from "../errors.ts";
import type { DirectorySource, ImageSource } from "../io/rootfs-source.ts";
import type { PeImage } from "../pe/headers.ts";
import type { RootfsDigests } from "./digest.ts";
import type { PrepareRootfs } from "./image-preparation.ts";
import { imageTreeToDigest } from "./image-tree.ts";
import type { PreparationOptions } from "./preparation.ts";

/** What both halves put into `/usr`. */
export type HalvesFiles = Required<Pick<PreparationOptions, "given" | "keys">>;

/** The inputs of the second half that the digest depends on. */
export interface SecondHalf {
  readonly source: ImageSource | DirectorySource;
  readonly computed: RootfsDigests;
  readonly halves: HalvesFiles;
  /** What goes into `/boot` and, perhaps, went into `/usr` in the first half. */
  readonly bootloader: PeImage | null;
  readonly prepareWith: (files: HalvesFiles) => PrepareRootfs;
}

/**
 * Finds what a UKI demands among the digests of an image, see {@link matchDemand}.
 * @throws SealError `input` when it demands something else; if that is the same image with other files in `/usr`, it
 *   says which
 */
export async function matchHalves(
  uki: PeImage,
  have: readonly ImageDigest[],
  half: SecondHalf,
): Promise<readonly ImageDigest[]> {
  const { source } = half;
  try {
    return matchDemand(uki, have, source.subject);
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    for (const { files, how } of otherFiles(half)) {
      if (!(await isBuiltWith(uki, files, half))) continue;
      throw inputError(uki.subject, `was built from ${source.subject} ${how}; give both halves the same`, error);
    }
    throw error;
  }
}

/** What the first half may have been given instead. */
function otherFiles({ halves, bootloader }: SecondHalf): { readonly files: HalvesFiles; readonly how: string }[] {
  const { given, keys } = halves;
  const loader = "--signed-bootloader";
  const enroll = "--enroll-keys";
  return [
    ...(given.length === 0 ? [] : [{ files: { given: [], keys }, how: `without ${loader}` }]),
    ...(keys === null ? [] : [{ files: { given, keys: null }, how: `without ${enroll}` }]),
    ...(given.length === 0 || keys === null
      ? []
      : [{ files: { given: [], keys: null }, how: `without ${loader} and ${enroll}` }]),
    ...(given.length > 0 || bootloader === null
      ? []
      : [{ files: { given: [bootloader], keys }, how: `with ${loader} ${bootloader.subject}` }]),
  ];
}

async function isBuiltWith(
  uki: PeImage,
  files: HalvesFiles,
  { source, computed, prepareWith }: SecondHalf,
): Promise<boolean> {
  const { rootfs, plan, mtime } = computed;
  try {
    const treeToDigest = imageTreeToDigest(source, { plan, prepare: prepareWith(files) }, { warn: () => {} });
    const { algorithm, targets, transform } = plan;
    const digests = await composefsDigests(await treeToDigest(rootfs, rootfs), {
      ...transform,
      mtime,
      targets,
      algorithm,
    });
    matchDemand(uki, digests, source.subject);
    return true;
  } catch (error) {
    if (error instanceof SealError) return false;
    throw error;
  }
}
