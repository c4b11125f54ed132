/**
 * Attestations as cosign before version 3 stores them: DSSE envelopes, as the layers of an image with a tag that is
 * made of the digest they are about (cosign, "Registry Specification").
 */
import { inputError } from "../errors.ts";
import { type BlobDigest, formatBlobDigest } from "./digest.ts";
import type { Annotations, Blob } from "./edit.ts";
import { arrayOf, type JsonObject, objectOf } from "./json.ts";
import { CONFIG_TYPE, MANIFEST_TYPE } from "./media-types.ts";
import { type Descriptor, parseManifest } from "./schemas.ts";

const ENVELOPE_TYPE = "application/vnd.dsse.envelope.v1+json";
/** cosign wants to see it; the signature is in the envelope. */
const SIGNATURE_KEY = "dev.cosignproject.cosign/signature";
const PREDICATE_KEY = "predicateType";
const NO_ATTESTATIONS = "is not an image of attestations as cosign makes them";

/** The tag of the attestations of a manifest. */
export function cosignTag({ algorithm, hex }: BlobDigest): string {
  return `${algorithm}-${hex}.att`;
}

/** The documents of such an image; null: there is none yet. */
export interface EnvelopeImage {
  readonly manifest: JsonObject;
  readonly config: JsonObject;
}

/** An envelope as a layer. */
export interface EnvelopeLayer extends Blob {
  readonly predicateType: string;
}

const NEW_CONFIG: JsonObject = { architecture: "", os: "", config: {}, rootfs: { type: "layers", diff_ids: [] } };

/**
 * A configuration with more layers. Those that are there already stay where they are.
 * @throws SealError `input` when it is damaged
 */
export function addToConfig(
  image: EnvelopeImage | null,
  layers: readonly EnvelopeLayer[],
  subject: string,
): JsonObject {
  const config = image?.config ?? NEW_CONFIG;
  const rootfs = objectOf(config["rootfs"], `${subject}: rootfs`);
  const known = arrayOf(rootfs["diff_ids"], `${subject}: rootfs.diff_ids`);
  const history = arrayOf(config["history"], `${subject}: history`);
  const added = layers.map(({ digest }) => formatBlobDigest(digest)).filter((digest) => !known.includes(digest));
  return {
    ...config,
    rootfs: { ...rootfs, diff_ids: [...known, ...added] },
    history: [...history, ...added.map(() => ({ created: "1970-01-01T00:00:00Z", created_by: "seal attest" }))],
  };
}

/**
 * A manifest with more layers, see {@link addToConfig}.
 * @throws SealError `input` when it is damaged, or another image, which nothing is to be added to
 */
export function addToManifest(
  image: EnvelopeImage | null,
  layers: readonly EnvelopeLayer[],
  config: Blob,
  subject: string,
): JsonObject {
  const known = arrayOf(image?.manifest["layers"], `${subject}: layers`);
  const entries = known.map((one) => objectOf(one, `${subject}: layers`));
  if (entries.some(({ mediaType }) => mediaType !== ENVELOPE_TYPE)) throw inputError(subject, NO_ATTESTATIONS);
  const digests = new Set(entries.map(({ digest }) => digest));
  const added = layers.filter(({ digest }) => !digests.has(formatBlobDigest(digest)));
  return {
    ...(image?.manifest ?? { schemaVersion: 2, mediaType: MANIFEST_TYPE }),
    config: { mediaType: CONFIG_TYPE, digest: formatBlobDigest(config.digest), size: config.size },
    layers: [
      ...known,
      ...added.map(({ digest, size, predicateType }) => ({
        mediaType: ENVELOPE_TYPE,
        digest: formatBlobDigest(digest),
        size,
        annotations: { [SIGNATURE_KEY]: "", [PREDICATE_KEY]: predicateType },
      })),
    ],
  };
}

/** The envelopes of such an image, by its manifest. @throws SealError `input` when it is damaged, or another image */
export function envelopesOf(manifest: Uint8Array, subject: string): readonly Descriptor[] {
  const { config, layers } = parseManifest(manifest, subject);
  if (config.mediaType !== CONFIG_TYPE) throw inputError(subject, NO_ATTESTATIONS);
  return layers.filter(({ mediaType }) => mediaType === ENVELOPE_TYPE);
}

/** The annotations of an envelope. */
export function envelopeAnnotations(predicateType: string): Annotations {
  return { [PREDICATE_KEY]: predicateType };
}
