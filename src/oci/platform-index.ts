/**
 * The images of an index: which of them are wanted, and the index of what became of them (OCI image
 * specification, "Image Index").
 */
import { inputError, SealError } from "../errors.ts";
import { someOf } from "../text.ts";
import { formatBlobDigest } from "./digest.ts";
import { annotationsOf, type Blob, withAnnotations, without } from "./edit.ts";
import type { Json, JsonObject } from "./json.ts";
import { INDEX_TYPE, isImageType, MANIFEST_TYPE } from "./media-types.ts";
import { formatPlatform, forPlatform, type Platform, samePlatform } from "./platform.ts";
import type { Descriptor } from "./schemas.ts";

/**
 * What BuildKit calls the statements that it stores with an image (buildx documentation, "Image attestation storage").
 */
const REFERENCE_TYPE = "vnd.docker.reference.type";
const REFERENCE_DIGEST = "vnd.docker.reference.digest";

/** Something in an index that can't be started: a statement about one of the images, or no image at all. */
export interface OtherEntry {
  readonly digest: string;
  /** `attestation-manifest`, or a media type. */
  readonly type: string;
  /** Digest of the image that it speaks of; null: it does not say. */
  readonly about: string | null;
  /**
   * Whether it is for no platform. Whoever pulls the index may get any other entry, whatever it is declared to be:
   * skopeo and podman look at the platform only.
   */
  readonly isForNone: boolean;
  /** As its entry has it. */
  readonly platform: Platform | undefined;
}

/**
 * What an entry of an index is, if it is neither an image nor an index.
 * @param entry the same as written in the index
 */
export function otherEntry(descriptor: Descriptor, entry: JsonObject): OtherEntry | null {
  const { annotations, platform, mediaType } = descriptor;
  const { artifactType } = entry;
  const isForNone = platform?.os === "unknown" && platform.architecture === "unknown";
  const type =
    annotations?.[REFERENCE_TYPE] ??
    (typeof artifactType === "string" ? artifactType : null) ??
    (isForNone || !isImageType(mediaType) ? mediaType : null);
  if (type === null) return null;
  const about = annotations?.[REFERENCE_DIGEST] ?? null;
  return { digest: formatBlobDigest(descriptor.digest), type, about, isForNone, platform };
}

/** An image of several. */
interface OfPlatform {
  readonly platform: Platform;
  readonly digest: string;
}

/** How many platforms a message names. */
const SHOWN = 8;

/**
 * The images for some platforms, or all of them, in the order of the index.
 * @param wanted platforms as `--platform` has them; null: all
 * @throws SealError `input` for a platform that there is no image for, or more than one; `usage` for
 *   two names of one image
 */
export function wantedImages<Image extends OfPlatform>(
  images: readonly Image[],
  wanted: readonly Platform[] | null,
  subject: string,
): readonly Image[] {
  const names = images.map(({ platform }) => formatPlatform(platform));
  if (images.length === 0) throw inputError(subject, "has no image for any platform");
  if (wanted === null) {
    for (const image of images) refuseTwins(image, images, subject);
    return images;
  }
  const chosen = new Map<Image, string>();
  for (const platform of wanted) {
    const name = formatPlatform(platform);
    const [image] = forPlatform(images, platform);
    if (image === undefined) {
      throw inputError(subject, `has no image for ${name}; it has those for ${someOf([...new Set(names)], SHOWN)}`);
    }
    refuseTwins(image, images, subject);
    const before = chosen.get(image);
    if (before !== undefined) {
      throw new SealError(
        "usage",
        `--platform: ${before} and ${name} are the same image of ${subject}; give only one of them`,
      );
    }
    chosen.set(image, name);
  }
  return images.filter((image) => chosen.has(image));
}

/** Which of two images a machine would get depends on who pulls it. */
function refuseTwins(image: OfPlatform, images: readonly OfPlatform[], subject: string): void {
  const twin = images.find((other) => other !== image && samePlatform(other.platform, image.platform));
  if (twin === undefined) return;
  const both = [image.digest, twin.digest].join(" and ");
  throw inputError(subject, `has two images for ${formatPlatform(image.platform)}: ${both}. Remove one of them`);
}

/** An image that takes the place of one in an index. */
export interface ReplacedEntry {
  /** The former one's entry. */
  readonly entry: JsonObject;
  readonly platform: Platform;
  readonly manifest: Blob;
}

/**
 * An index of other images for the same platforms. Everything else in it and in its entries is kept; digests of
 * previous images are removed.
 * @param images in their order
 * @param subject the index in messages
 * @throws SealError `input` when it is damaged
 */
export function editPlatformIndex(index: JsonObject, images: readonly ReplacedEntry[], subject: string): JsonObject {
  const manifests = images.map(({ entry, platform: { os, architecture, variant }, manifest }): Json => {
    const known = { architecture, os, ...(variant === undefined ? {} : { variant }) };
    return withAnnotations(
      {
        // An inlined copy (`data`) would be that of the old manifest.
        ...without(entry, ["data", "urls"]),
        mediaType: MANIFEST_TYPE,
        digest: formatBlobDigest(manifest.digest),
        size: manifest.size,
        platform: entry["platform"] ?? known,
      },
      annotationsOf(entry, subject),
    );
  });
  return withAnnotations({ ...index, mediaType: INDEX_TYPE, manifests }, annotationsOf(index, subject));
}
