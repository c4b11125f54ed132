/**
 * Finds the attestations stored with an image: as referrers, and in a registry also at the tag that cosign before
 * version 3 uses.
 */
import {
  BUNDLE_MEDIA_TYPE,
  parseAttestation,
  parseBundle,
  parseEnvelope,
  type SignedStatement,
} from "../attest/bundle.ts";
import type { NamedBytes } from "../bytes.ts";
import { SealError } from "../errors.ts";
import { taggedEnvelopes } from "../io/oci/cosign-tag.ts";
import { requireRemote } from "../io/oci/image.ts";
import { type AttachedBlob, attachedBlobs, type FoundImages } from "../io/oci/referrers.ts";
import { envelopeAnnotations } from "../oci/cosign-tag.ts";
import type { Annotations } from "../oci/edit.ts";
import type { Descriptor } from "../oci/schemas.ts";
import { bundleAnnotations } from "./attest.ts";
import type { Ports } from "./ports.ts";

/** An attestation that has not been opened. */
export interface FoundAttestation {
  /** Its location, as a name. */
  readonly subject: string;
  /** @throws SealError `input` if it is not an attestation */
  readonly read: () => SignedStatement;
  /** Its annotations, and what they should be for an attestation with that predicate; null: it was in a file. */
  readonly beside: {
    readonly annotations: Annotations;
    readonly expected: (predicateType: string) => Annotations;
  } | null;
}

/** @param file see {@link parseAttestation} */
export function attestationInFile(file: NamedBytes): FoundAttestation {
  return { subject: file.subject, read: () => parseAttestation(file.bytes, file.subject), beside: null };
}

/**
 * All attestations stored with an image. One that is both at a tag and a referrer is listed once.
 * @throws SealError `input` for what is damaged; `external` when a registry or skopeo fails
 */
export async function findAttestations(
  found: FoundImages,
  image: Descriptor,
  ports: Ports,
): Promise<readonly FoundAttestation[]> {
  const { subject } = found.given;
  const bundles = await attachedBlobs(found, image, BUNDLE_MEDIA_TYPE, ports);
  const attached = bundles.map((one) => attestationOf(one, parseBundle, bundleAnnotations));
  if (found.given.kind !== "docker") return attached;
  const known = new Set(attached.map(contentOf));
  const envelopes = await taggedEnvelopes(requireRemote(subject, ports.remote), subject, image.digest);
  const tagged = envelopes.map((one) => attestationOf(one, parseEnvelope, envelopeAnnotations));
  return [...attached, ...tagged.filter((one) => !known.has(contentOf(one)))];
}

function attestationOf(
  { subject, bytes, annotations }: AttachedBlob,
  parse: typeof parseBundle,
  expected: (predicateType: string) => Annotations,
): FoundAttestation {
  return { subject, read: () => parse(bytes, subject), beside: { annotations, expected } };
}

/** Statement and signature as one text; a unique text if it can't be read. */
function contentOf({ subject, read }: FoundAttestation): string {
  try {
    const { statement, signature } = read();
    return [statement, signature].map((bytes) => Buffer.from(bytes).toString("base64")).join(".");
  } catch (error) {
    if (error instanceof SealError) return subject;
    throw error;
  }
}
