/**
 * Seals a container image: the layers of another image or of a directory, with two more on top that contain everything
 * that boots.
 */
import type { VerityAlgorithm } from "../composefs/series.ts";
import type { ImageTarget } from "../io/oci/image-target.ts";
import type { ImageWork, StagedImage } from "../io/oci/image-writer.ts";
import { type Placed, writeImageTo } from "../io/oci/push-image.ts";
import type { DirectorySource, ImageSource } from "../io/rootfs-source.ts";
import { layerDefects } from "../lint/image-defects.ts";
import { withCandidates } from "./digest-plan.ts";
import { imagePreparation, preparationWarnings, unlessSealed } from "./image-preparation.ts";
import {
  areAsMeant,
  type FreshOptions,
  type LowerLayers,
  type LowerOptions,
  writeLowerLayers,
} from "./lower-layers.ts";
import { nameWithKernel, watchKernel } from "./name-digests.ts";
import { checkSealOptions, planOf, type SealOptions, sealTreeWith } from "./options.ts";
import type { Ports } from "./ports.ts";
import type { Recompression } from "./recompress.ts";
import { refuseSource } from "./target.ts";
import { type SealedTree, whenMeasured } from "./tree.ts";
import { treeWarnings } from "./tree-warnings.ts";
import { type Judged, judgeHosts } from "./verdicts.ts";
import { checkSealedImage, expectedOf, imageWarnings, type SealedImage, writeSealedImage } from "./written-image.ts";

/** How an image is sealed. */
export interface SealImageOptions extends SealOptions {
  /** For a directory: how a fresh image is made from it. */
  readonly fresh?: FreshOptions | undefined;
  /** For an image: which of its layers are recompressed; absent: none. */
  readonly recompress?: Recompression | null | undefined;
  /** Creation time of the image; absent: that of the source image, and none for a fresh image. */
  readonly time?: Date | null | undefined;
}

/** An image that was sealed and written, and what it was made of. */
export interface ImageSealing extends SealedImage {
  readonly lower: LowerLayers;
  readonly sealed: SealedTree;
  readonly judged: Judged;
  /** Warnings of all steps, in order, one line each. */
  readonly warnings: readonly string[];
}

/**
 * Seals an image and writes it. On failure the target is as it was.
 * @param source the image to seal, or a directory to make a fresh one of
 * @throws SealError `usage` for a target in the directory that is sealed; `input` for a source that can't be read or
 *   sealed, and for a target that can't be written; as `sealTreeWith`
 * @example
 * ```ts
 * import { parseImageOrDirectory, parseImageTarget, QUIET, sealImage } from "seal";
 *
 * const cwd = process.cwd();
 * const source = parseImageOrDirectory("oci:image", "source");
 * const target = parseImageTarget("oci:sealed:unsigned", "target", cwd);
 * const { manifest, warnings } = await sealImage(source, target, {}, { ...QUIET, cwd });
 * console.log(manifest.digest, warnings);
 * ```
 */
export async function sealImage(
  source: ImageSource | DirectorySource,
  target: ImageTarget,
  options: SealImageOptions,
  ports: Ports,
): Promise<Placed<ImageSealing>> {
  await refuseSource(source, target, ports);
  checkSealOptions(options);
  const work: ImageWork<ImageSealing> = {
    write: (staged) => sealInto(staged, source, options, ports, { keepsTrees: true }),
    archiving: () => ports.progress.copy(`writing ${target.subject}`),
    check: (place, sealing) => checkSealedImage(target, place, expectedOf(sealing), ports),
  };
  return writeImageTo(target, work, { remote: ports.remote, asIs: ({ lower }) => areAsMeant(lower) });
}

/**
 * Seals an image into another one that is being written: its layers, configuration and manifest. The
 * options have been checked.
 * @param keepsTrees whether what is returned stays in memory until the image is read back
 * @param signal aborts the work with its reason
 * @throws SealError as {@link sealImage}
 */
export async function sealInto(
  staged: StagedImage,
  source: ImageSource | DirectorySource,
  options: SealImageOptions,
  ports: Ports,
  { keepsTrees, signal }: Pick<LowerOptions, "keepsTrees" | "signal">,
): Promise<ImageSealing> {
  const { fresh = {}, time = null, recompress = null, onDigest } = options;
  const plan = withCandidates(planOf(options));
  const prepare = preparationOf(options, plan.algorithm);
  const kernel = await watchKernel(plan, options);
  const lowerOptions = { plan, fresh, time, recompress, prepare, beforeDigests: kernel.begin, keepsTrees, signal };
  const read = await writeLowerLayers(source, staged, lowerOptions, ports);
  const named = await nameWithKernel(read.computed, options, kernel.ahead());
  const { computed, mount } = named;
  const lower = { ...read, computed };
  onDigest?.(computed);
  signal?.throwIfAborted();
  const { rootfs, loaders } = lower.prepared;
  const ahead = await sealTreeWith(options, rootfs, { ...named, loaders });
  signal?.throwIfAborted();
  const { files } = ahead.plan;
  const { arch } = ahead.tree;
  const image = await writeSealedImage(staged, { lower, files, arch, uki: ahead.uki, named: computed.digests, time });
  const { cmdline, words } = ahead.tree;
  const judged = await judgeHosts(computed, {
    cmdline,
    words,
    uki: ahead.uki,
    mount,
    defects: layerDefects(lower.forms),
  });
  const { signing, now, enrolled } = options;
  // A signature that was just made has been verified.
  const isSigned = loaders.some((loader) => loader.arch === arch && loader.signed === "now");
  const tree = await treeWarnings(rootfs, {
    arch,
    trust: isSigned || now === undefined ? null : { certificates: signing ? [signing.signer.certificate] : [], now },
    enrolls: Boolean(enrolled),
    wayOut: "Give --key and --cert, which signs it",
  });
  const warnings = [
    ...preparationWarnings(lower.prepared),
    ...ahead.warnings,
    ...tree,
    ...imageWarnings(source.subject, image, arch),
  ];
  return { ...image, lower, sealed: await whenMeasured(ahead), judged, warnings };
}

/** What is done to a root filesystem before its digest is computed. */
function preparationOf({ signing = null, enrolled, time, uki }: SealImageOptions, algorithm: VerityAlgorithm) {
  const prepare = imagePreparation({
    signing,
    keys: enrolled?.keys ?? null,
    now: signing?.now ?? enrolled?.now ?? new Date(0),
    algorithm,
    mtime: BigInt(Math.floor((time?.getTime() ?? 0) / 1000)),
  });
  return unlessSealed(prepare, uki?.kernel ?? null);
}
