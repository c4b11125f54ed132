/** Seals the images of a multi-platform image in one go, and writes them with an index. */
import { inputError, SealError } from "../errors.ts";
import { type ImageList, type ListedImage, listImages } from "../io/oci/image-list.ts";
import type { ImageTarget } from "../io/oci/image-target.ts";
import type { ImageWork, StagedImage, WrittenIndex, WrittenPlace } from "../io/oci/image-writer.ts";
import { writeImageTo } from "../io/oci/push-image.ts";
import type { ImageSource } from "../io/rootfs-source.ts";
import { forEachOf, inTurn } from "../io/together.ts";
import type { Blob } from "../oci/edit.ts";
import { formatJson } from "../oci/json.ts";
import { formatPlatform, parsePlatform } from "../oci/platform.ts";
import { editPlatformIndex, type OtherEntry, wantedImages } from "../oci/platform-index.ts";
import { type EfiArch, efiArchOfGo } from "../pe/arch.ts";
import { type ImageSealing, type SealImageOptions, sealInto } from "./image.ts";
import { checkSealOptions, planOf } from "./options.ts";
import type { Ports } from "./ports.ts";
import type { Signing } from "./tree.ts";
import { checkSealedImage, type ExpectedDigests, expectedOf, withoutTrees } from "./written-image.ts";

/**
 * Images that are sealed at the same time. The layers of one are read on all cores: a second image uses the time in
 * which the first waits for its last large layer, the disk or a signer; any more would only take memory.
 */
const PARALLEL_PLATFORMS = 2;

/** One of the images for several platforms. */
export interface PlatformImage extends ListedImage {
  /** `os/architecture[/variant]`. */
  readonly name: string;
}

/** One of them that can be sealed. */
export interface SealablePlatform extends PlatformImage {
  readonly arch: EfiArch;
}

/** The selected images of an index, and what else it has. */
export interface PlatformImages<Image extends PlatformImage = PlatformImage> extends Omit<ImageList, "images"> {
  /** In the order of the index. */
  readonly images: readonly Image[];
  /** Names of the platforms that were not selected. */
  readonly leftOut: readonly string[];
}

/**
 * Finds the images for several platforms.
 * @param platforms as `--platform` has them; null: all that there are
 * @throws SealError `input` where there is none for a platform, or there are two; as `listImages`
 */
export async function findPlatforms(
  source: ImageSource,
  platforms: readonly string[] | null,
  ports: Pick<Ports, "cwd" | "remote">,
): Promise<PlatformImages> {
  const wanted = platforms?.map(parsePlatform) ?? null;
  const { images: all, ...list } = await listImages(source, ports);
  const images = wantedImages(all, wanted, list.subject).map((image): PlatformImage => {
    const name = formatPlatform(image.platform);
    return { ...image, name, source: { ...image.source, subject: `${list.subject} (${name})` } };
  });
  const names = new Set(images.map(({ name }) => name));
  const leftOut = all.map(({ platform }) => formatPlatform(platform)).filter((name) => !names.has(name));
  return { ...list, images, leftOut };
}

/**
 * Refuses images for machines that have no UEFI.
 * @throws SealError `input`
 */
export function sealablePlatforms({ images, ...list }: PlatformImages): PlatformImages<SealablePlatform> {
  const sealable = images.map((image): SealablePlatform => {
    const { os, architecture } = image.platform;
    const arch = os === "linux" ? efiArchOfGo(architecture) : null;
    if (arch !== null) return { ...image, arch };
    throw inputError(list.subject, `${image.name} has no UEFI that could start a UKI; name the others with --platform`);
  });
  return { ...list, images: sealable };
}

/** How the images of several platforms are sealed. */
export interface SealPlatformsOptions<Report> {
  /** How each image is sealed. The platform of the plan may be absent. */
  readonly optionsFor: (image: SealablePlatform) => SealImageOptions;
  /** Maps a sealed image to what is kept in memory: the kernels and trees of all of them would be too much. */
  readonly report: (image: SealablePlatform, sealing: ImageSealing) => Promise<Report>;
}

/** Images that were sealed and written with their index. */
export interface PlatformsSealing<Report> extends WrittenIndex {
  /** In the order of the index. */
  readonly images: readonly { readonly name: string; readonly manifest: Blob; readonly report: Report }[];
  /** What the source index has and this one doesn't. */
  readonly dropped: readonly OtherEntry[];
}

interface SealedPlatform<Report> {
  readonly image: SealablePlatform;
  readonly manifest: Blob;
  readonly expected: ExpectedDigests;
  readonly report: Report;
}

/**
 * Seals images and writes them, as `sealImage` does, with an index. When one can't be sealed, the target is as it was.
 * @throws SealError as `sealImage`, naming the platform; `input` for a kernel that is not for the platform of its image
 */
export async function sealPlatforms<Report>(
  { images, others, index, subject }: PlatformImages<SealablePlatform>,
  target: ImageTarget,
  { optionsFor, report }: SealPlatformsOptions<Report>,
  ports: Ports,
): Promise<PlatformsSealing<Report>> {
  const signers = new Map<Signing["signer"], Signing["signer"]>();
  const works = images.map((image) => ({ image, options: platformOptions(image, optionsFor(image), signers) }));
  for (const { options } of works) checkSealOptions(options);
  const jobs = works[0]?.options.plan?.jobs ?? PARALLEL_PLATFORMS;
  const limit = Math.min(jobs, PARALLEL_PLATFORMS);

  const seal = async (staged: StagedImage, work: (typeof works)[number], signal: AbortSignal) => {
    const { image, options } = work;
    const sealing = await sealInto(staged, image.source, options, ports, { keepsTrees: false, signal });
    const { manifest } = sealing;
    const expected = withoutTrees(expectedOf(sealing));
    return { image, manifest, expected, report: await report(image, sealing) };
  };
  const check = (place: WrittenPlace, { image, expected }: SealedPlatform<Report>) => {
    const checked = { ...target, subject: `${target.subject} (${image.name})` };
    return checkSealedImage(checked, place, expected, ports);
  };
  const work: ImageWork<WrittenIndex & { readonly sealed: readonly SealedPlatform<Report>[] }> = {
    write: async (staged) => {
      const sealed = await forEachOf(works, limit, (work, signal) =>
        naming(work.image, () => seal(staged, work, signal)),
      );
      const entries = sealed.map(({ image, manifest }) => ({ ...image, manifest }));
      return { index: await staged.blobs.add([formatJson(editPlatformIndex(index, entries, subject))]), sealed };
    },
    archiving: () => ports.progress.copy(`writing ${target.subject}`),
    check: async (place, { sealed: all }) => {
      await forEachOf(all, limit, (one) => naming(one.image, () => check(place, one)));
    },
  };
  // An index never comes from a store with unpacked layers.
  const { sealed, ...written } = await writeImageTo(target, work, { remote: ports.remote, asIs: () => true });
  return {
    ...written,
    images: sealed.map(({ image: { name }, manifest, report: made }) => ({ name, manifest, report: made })),
    dropped: others,
  };
}

/**
 * The options of one image. Tokens and signing programs are asked for one signature at a time, as when one image is
 * sealed.
 */
function platformOptions(
  { name, arch }: SealablePlatform,
  options: SealImageOptions,
  signers: Map<Signing["signer"], Signing["signer"]>,
): SealImageOptions {
  const { signing = null, uki } = options;
  return {
    ...options,
    plan: { ...planOf(options), platform: name },
    uki: { ...uki, kernelArch: arch },
    signing: signing === null ? null : { ...signing, signer: oneSigner(signing.signer, signers) },
  };
}

function oneSigner(signer: Signing["signer"], known: Map<Signing["signer"], Signing["signer"]>): Signing["signer"] {
  const { certificate, chain } = signer;
  const queued = known.get(signer) ?? { certificate, chain, sign: inTurn((data) => signer.sign(data)) };
  known.set(signer, queued);
  return queued;
}

/** Adds the image to an error, unless it is named there already. */
async function naming<Result>({ name }: PlatformImage, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof SealError) || error.message.includes(name)) throw error;
    throw new SealError(error.code, `${name}: ${error.message}`, { cause: error });
  }
}
