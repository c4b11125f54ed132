/** Finds the image that a reference means among those of a layout, an index or a docker archive. */
import { inputError, type SealError } from "../errors.ts";
import { someOf } from "../text.ts";
import { formatPlatform, forPlatform, type Platform } from "./platform.ts";
import type { Descriptor, DockerSaveImage } from "./schemas.ts";

/** Where the tag is in a layout's `index.json` (OCI image specification, "Pre-Defined Annotation Keys"). */
export const REF_NAME = "org.opencontainers.image.ref.name";
/** How many candidates a message names. */
const SHOWN = 8;

/**
 * The manifest or index with a tag. Without one the layout must hold one image only; several for different platforms
 * count as one, and so do several entries with one digest.
 * @throws SealError `input` that names the tags that there are
 */
export function selectTagged(
  manifests: readonly Descriptor[],
  tag: string | null,
  platform: Platform,
  subject: string,
): Descriptor {
  const tagged = withTag(manifests, tag);
  const [only] = tagged;
  if (only !== undefined && tagged.every(({ digest }) => digest.hex === only.digest.hex)) return only;
  const isPerPlatform = tagged.every((one) => one.platform !== undefined);
  const fitting = forPlatform(tagged, platform);
  if (isPerPlatform && fitting[0] !== undefined && fitting.length === 1) return fitting[0];
  throw notOneImage(manifests, tag, subject);
}

/**
 * The entries that make the multi-platform image with a tag: one index, or one image for each platform. Without a tag
 * the layout must hold nothing else.
 * @throws SealError `input` that names the tags that there are
 */
export function taggedImages(
  manifests: readonly Descriptor[],
  tag: string | null,
  subject: string,
): readonly Descriptor[] {
  const tagged = withTag(manifests, tag);
  const [first] = tagged;
  if (first !== undefined && tagged.every(({ digest }) => digest.hex === first.digest.hex)) return [first];
  const tags = new Set(tagged.map((one) => one.annotations?.[REF_NAME]));
  if (first !== undefined && tags.size === 1 && tagged.every((one) => one.platform !== undefined)) return tagged;
  throw notOneImage(manifests, tag, subject);
}

function withTag(manifests: readonly Descriptor[], tag: string | null): readonly Descriptor[] {
  return manifests.filter((one) =>
    // What is attached to images is next to them, without a tag.
    tag === null ? !isReferrer(one) : one.annotations?.[REF_NAME] === tag,
  );
}

/** Whether an entry of an index is about an image of it, but not an image itself. */
function isReferrer({ artifactType, annotations }: Descriptor): boolean {
  return typeof artifactType === "string" && annotations?.[REF_NAME] === undefined;
}

function notOneImage(manifests: readonly Descriptor[], tag: string | null, subject: string): SealError {
  const { length } = withTag(manifests, tag);
  const tags = [...new Set(manifests.flatMap((one) => one.annotations?.[REF_NAME] ?? []))];
  if (tag === null) {
    const reason =
      length === 0 ? "contains no image" : `has ${length} images; choose one by its tag (${listed("", tags)})`;
    return inputError(subject, reason);
  }
  if (length === 0) {
    const none = manifests.length === 0 ? "it contains no image" : "it has no tags, so give it without one";
    const others = tags.length === 0 ? none : listed("its tags are", tags);
    return inputError(subject, `has no image with the tag "${tag}"; ${others}`);
  }
  const wayOut = "give each its own tag, or choose one with --platform";
  return inputError(subject, `has ${length} images with the tag "${tag}"; ${wayOut}`);
}

/**
 * The first entry of an index for a platform.
 * @throws SealError `input` that names the platforms that there are
 */
export function selectPlatform(manifests: readonly Descriptor[], platform: Platform, subject: string): Descriptor {
  const [found] = forPlatform(manifests, platform);
  if (found !== undefined) return found;
  // Besides images there are attestations of them.
  const platforms = manifests.flatMap(({ platform: one }) =>
    one === undefined || one.os === "unknown" ? [] : formatPlatform(one),
  );
  throw inputError(
    subject,
    `has no image for ${formatPlatform(platform)}; choose one with --platform (${listed("", platforms)})`,
  );
}

/**
 * The image of a docker archive with a reference, `name:tag` as `docker save` wrote it.
 * @throws SealError `input` that names the references that there are
 */
export function selectDockerImage(
  images: readonly DockerSaveImage[],
  reference: string | null,
  subject: string,
): DockerSaveImage {
  const tags = images.flatMap((image) => image.RepoTags ?? []);
  if (reference === null) {
    const [only, second] = images;
    if (only === undefined) throw inputError(subject, "contains no image");
    if (second === undefined) return only;
    throw inputError(subject, `has ${images.length} images; choose one by its reference (${listed("", tags)})`);
  }
  const full = /:[^/]*$/.test(reference) ? reference : `${reference}:latest`;
  const found = images.find((image) => image.RepoTags?.some((one) => one === full || stripRegistry(one) === full));
  if (found !== undefined) return found;
  throw inputError(subject, `has no image "${reference}"; ${listed("its references are", tags)}`);
}

/** Docker leaves the default registry out. */
function stripRegistry(reference: string): string {
  return reference.replace(/^docker\.io\/(?:library\/)?/, "");
}

function listed(intro: string, names: readonly string[]): string {
  if (names.length === 0) return "there are none";
  const escaped = names.map((name) => JSON.stringify(name).slice(1, -1));
  return `${intro} ${someOf(escaped, SHOWN)}`.trim();
}
