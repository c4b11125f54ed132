/**
 * Referrers (OCI image specification 1.1, "Image Manifest", `subject` and "Guidelines for Artifact Usage"): manifests
 * of something that is about another manifest, which does not change by it. Attestations are stored as cosign stores
 * them, so that either finds the other's.
 */
import { z } from "zod";
import { inputError } from "../errors.ts";
import { type BlobDigest, formatBlobDigest } from "./digest.ts";
import type { Annotations, Blob, StoredLayer } from "./edit.ts";
import { arrayOf, type JsonObject, objectOf, parseJsonObject } from "./json.ts";
import { MANIFEST_TYPE } from "./media-types.ts";
import { type Descriptor, type ImageManifest, parseManifest } from "./schemas.ts";

/** The configuration of what has none (image specification, "Guidance for an Empty Descriptor"). */
export const EMPTY_CONFIG = new TextEncoder().encode("{}");
const EMPTY_TYPE = "application/vnd.oci.empty.v1+json";

/**
 * The tag of an index of all that refers to a manifest, in registries that keep no such list by themselves (OCI
 * distribution specification 1.1, "Referrers Tag Schema").
 */
export function referrersTag({ algorithm, hex }: BlobDigest): string {
  return `${algorithm}-${hex}`.slice(0, TAG_LENGTH);
}
const TAG_LENGTH = 128;

/** What a manifest about another one is made of. */
export interface ReferrerParts {
  readonly subject: StoredLayer;
  /** Media type of the content, and of the whole. */
  readonly artifactType: string;
  readonly content: Blob;
  readonly config: Blob;
  readonly annotations: Annotations;
}

export function referrerManifest({ subject, artifactType, content, config, annotations }: ReferrerParts): JsonObject {
  const describe = ({ digest, size }: Blob, mediaType: string) => ({
    mediaType,
    digest: formatBlobDigest(digest),
    size,
  });
  return {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    artifactType,
    config: describe(config, EMPTY_TYPE),
    layers: [describe(content, artifactType)],
    subject: describe(subject, subject.mediaType),
    annotations,
  };
}

/** The entry of a referrer in an index (image specification, "Image Index"). */
export function describeReferrer(manifest: Blob, artifactType: string, annotations: Annotations): JsonObject {
  const { digest, size } = manifest;
  return { mediaType: MANIFEST_TYPE, digest: formatBlobDigest(digest), size, artifactType, annotations };
}

/** Appends referrers to an index; those that are there already stay in place. */
export function withReferrers(index: JsonObject, referrers: readonly JsonObject[], subject: string): JsonObject {
  const manifests = arrayOf(index["manifests"], `${subject}: manifests`);
  const known = new Set(manifests.map((one) => objectOf(one, "descriptor")["digest"]));
  return { ...index, manifests: [...manifests, ...referrers.filter((one) => !known.has(one["digest"] ?? null))] };
}

/**
 * Whether an entry of an index may be a referrer of a type. Its own word for that counts, but where it says nothing:
 * there are registries and libraries that give the type of the configuration instead, which is empty
 * (go-containerregistry's do).
 */
export function mayBeOfType({ mediaType, artifactType }: Descriptor, wanted: string): boolean {
  if (mediaType !== MANIFEST_TYPE) return false;
  return [wanted, EMPTY_TYPE, "", undefined, null].includes(artifactType);
}

const subjectSchema = z.object({ mediaType: z.string(), digest: z.string(), size: z.int() });

/** A manifest about another one. */
export interface Referrer {
  readonly artifactType: string | null;
  readonly annotations: Annotations;
  readonly layers: ImageManifest["layers"];
  /** What it is about. */
  readonly subject: z.infer<typeof subjectSchema>;
}

/**
 * Reads a manifest as a referrer.
 * @param subject names it in messages
 * @returns null when it is about nothing else: an image
 * @throws SealError `input` when it is damaged
 */
export function parseReferrer(bytes: Uint8Array, subject: string): Referrer | null {
  const { subject: image, artifactType, annotations } = parseJsonObject(bytes, subject);
  if (image === undefined || image === null) return null;
  const parsed = subjectSchema.safeParse(image);
  if (!parsed.success) throw inputError(subject, "its subject is not a descriptor: the manifest is damaged");
  return {
    artifactType: typeof artifactType === "string" ? artifactType : null,
    annotations: Object.fromEntries(
      Object.entries(objectOf(annotations, subject)).map(([key, text]) => [key, typeof text === "string" ? text : ""]),
    ),
    layers: parseManifest(bytes, subject).layers,
    subject: parsed.data,
  };
}

/** Whether a referrer is about a manifest. */
export function refersTo({ subject }: Referrer, { digest, size, mediaType }: Descriptor): boolean {
  return subject.digest === formatBlobDigest(digest) && subject.size === size && subject.mediaType === mediaType;
}
