/** Checks attestations of images: who signed them, and whether what they state is true of the image as it is. */

import { signedBy } from "../attest/bundle.ts";
import {
  type ClaimResult,
  claimsOf,
  compareClaims,
  nameBoot,
  provenanceResults,
  sameFirmware,
  type Unknown,
} from "../attest/claims.ts";
import { isOwnProvenance, PROVENANCE_TYPE, provenanceSchema } from "../attest/provenance.ts";
import { isSealedImageType, SEALED_IMAGE_TYPE, type StatedImage, sealedImageSchema } from "../attest/sealed-image.ts";
import { firstIssue, parseStatement, type Statement, subjectProblem } from "../attest/statement.ts";
import type { NamedBytes } from "../bytes.ts";
import { SealError } from "../errors.ts";
import { openStoredImage } from "../io/oci/image.ts";
import { type FoundImage, findImages } from "../io/oci/referrers.ts";
import type { ImageSource } from "../io/rootfs-source.ts";
import { type BlobDigest, formatBlobDigest } from "../oci/digest.ts";
import type { PcrBank } from "../pe/pcr-events.ts";
import type { LabelledKey } from "../sign/rsa-signer.ts";
import type { SecureBootPolicy } from "../sign/secure-boot-policy.ts";
import { type DescribeOptions, describeImage } from "./describe-image.ts";
import { attestationInFile, type FoundAttestation, findAttestations } from "./find-attestations.ts";
import type { Ports } from "./ports.ts";

/** How attestations are verified. */
export interface VerifyOptions {
  /** Which image of several; undefined: all. */
  readonly platform: string | undefined;
  /** The keys whose attestations count. */
  readonly trusted: readonly LabelledKey[];
  /** Bundles that are used instead of those stored with the image; null: none. */
  readonly bundles: readonly NamedBytes[] | null;
  /** The keys of the firmware, for PCR 4 and 7; null: not known. */
  readonly policy: SecureBootPolicy | null;
  readonly now: Date;
}

/** The verdict on one attestation. */
export interface AttestationVerdict {
  /** Its location, as a name. */
  readonly subject: string;
  /** Null: it could not be read. */
  readonly predicateType: string | null;
  /** The trusted key that signed it; null: none did. */
  readonly signer: string | null;
  /** `ignored`: it is by another key, or of a kind that seal does not know, and counts for nothing. */
  readonly outcome: "true" | "false" | "ignored";
  /** Why it is false or ignored as a whole; null: see its claims. */
  readonly reason: string | null;
  readonly claims: readonly ClaimResult[];
}

/** The verdict on the attestations of one image. */
export interface ImageVerdict {
  /** The digest of its manifest. */
  readonly digest: string;
  readonly platform: string | null;
  /** Whether a trusted attestation states what the image is, and no trusted attestation states anything false. */
  readonly verified: boolean;
  /** Why not, if no single attestation is the reason; null otherwise. */
  readonly reason: string | null;
  readonly attestations: readonly AttestationVerdict[];
}

/**
 * Verifies the attestations of an image, or of all images of an index: who signed each, and whether what it states
 * is true of the image.
 * @throws SealError `input` for an image that is damaged
 * @example
 * ```ts
 * import { createPublicKey } from "node:crypto";
 * import { readFile } from "node:fs/promises";
 * import { QUIET, RemoteImages, verifyImages } from "seal";
 *
 * const cwd = process.cwd();
 * const ports = { ...QUIET, cwd, remote: new RemoteImages({ env: process.env, cwd }) };
 * const trusted = [{ key: createPublicKey(await readFile("attest.pub")), label: "attest.pub" }];
 * const image = { kind: "docker", subject: "docker://registry.example/os:1" } as const;
 * const options = { platform: undefined, trusted, bundles: null, policy: null, now: new Date() };
 * const verdicts = await verifyImages(image, options, ports);
 * console.log(verdicts.every(({ verified }) => verified));
 * ```
 */
export async function verifyImages(
  source: ImageSource,
  options: VerifyOptions,
  ports: Ports,
): Promise<readonly ImageVerdict[]> {
  const found = await findImages(source, { ...ports, platform: options.platform });
  const verdicts: ImageVerdict[] = [];
  for (const image of found.images) {
    const attached = options.bundles?.map(attestationInFile) ?? (await findAttestations(found, image.manifest, ports));
    verdicts.push(await verifyOne(image, attached, options, ports));
  }
  return verdicts;
}

async function verifyOne(
  { manifest, platform, source }: FoundImage,
  attached: readonly FoundAttestation[],
  options: VerifyOptions,
  ports: Ports,
): Promise<ImageVerdict> {
  const chosen = { ...options, platform: platform ?? undefined };
  const known = new Map<string, Promise<StatedImage>>();
  const image: ImageFacts = {
    manifest,
    // This reads the whole image, so it is done once for each question.
    describe: (measured) => {
      const { policy } = measured;
      const keys = policy === null || policy === "own" ? policy : "given";
      const key = JSON.stringify([measured.banks, measured.phases, keys]);
      const predicate =
        known.get(key) ?? describeImage(source, { ...chosen, ...measured }, ports).then((one) => one.predicate);
      known.set(key, predicate);
      return predicate;
    },
    layers: async () => {
      const { layers } = await openStoredImage(source, { ...ports, platform: chosen.platform });
      return layers.flatMap(({ digest }) => (digest === null ? [] : [{ digest }]));
    },
  };
  const attestations: AttestationVerdict[] = [];
  for (const one of attached) attestations.push(await verifyBundle(one, image, options));
  const isStated = attestations.some(
    ({ outcome, predicateType }) => outcome === "true" && predicateType === SEALED_IMAGE_TYPE,
  );
  const isFalse = attestations.some(({ outcome }) => outcome === "false");
  return {
    digest: formatBlobDigest(manifest.digest),
    platform,
    verified: isStated && !isFalse,
    reason: isStated || isFalse ? null : nothingStated(attestations),
    attestations,
  };
}

function nothingStated(attestations: readonly AttestationVerdict[]): string {
  if (attestations.length === 0) return "there is no attestation of this image";
  const signed = attestations.some(({ signer }) => signer !== null);
  return signed
    ? "nothing signed by the given keys states what the image is"
    : "none of its attestations is signed by the given keys";
}

/** An image as it is stored. */
interface ImageFacts extends Pick<FoundImage, "manifest"> {
  readonly describe: (measured: Pick<DescribeOptions, "banks" | "phases" | "policy">) => Promise<StatedImage>;
  readonly layers: () => Promise<readonly { readonly digest: BlobDigest }[]>;
}

async function verifyBundle(
  { subject, read: parse, beside }: FoundAttestation,
  image: ImageFacts,
  options: VerifyOptions,
): Promise<AttestationVerdict> {
  const verdict = { subject, predicateType: null, signer: null, claims: [] };
  let read: { readonly statement: Statement; readonly signed: Omit<AttestationVerdict, "outcome" | "reason"> };
  try {
    const bundle = parse();
    const by = signedBy(bundle, options.trusted);
    if (by.kind === "other") return { ...verdict, outcome: "ignored", reason: "none of the given keys signed it" };
    if (by.kind === "forged")
      return { ...verdict, outcome: "false", reason: `it says that ${by.label} signed it, which is false` };
    if (by.kind === "misnamed")
      return { ...verdict, outcome: "false", reason: `${by.label} signed it, but it names another key` };
    const statement = parseStatement(bundle.statement, subject);
    const { predicateType } = statement;
    const signed = { ...verdict, signer: by.label, predicateType };
    const expected = Object.entries(beside?.expected(predicateType) ?? {});
    const wrong = expected.find(([key, text]) => beside?.annotations[key] !== text);
    if (wrong !== undefined) {
      return {
        ...signed,
        outcome: "false",
        reason: `its manifest contradicts it: ${wrong[0]} is not ${wrong[1]}`,
      };
    }
    const problem = subjectProblem(statement, image.manifest.digest);
    if (problem !== null) return { ...signed, outcome: "false", reason: `it ${problem}` };
    read = { statement, signed };
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    return { ...verdict, outcome: "false", reason: error.message.replace(`${subject}: `, "it ") };
  }
  try {
    return { ...read.signed, ...(await verifyPredicate(read.statement, image, options)) };
  } catch (error) {
    // Damage of the image itself, rather than a difference in its contents, is not a claim.
    if (!(error instanceof SealError) || error.code !== "check") throw error;
    return { ...read.signed, outcome: "false", reason: error.message };
  }
}

type PredicateVerdict = Pick<AttestationVerdict, "outcome" | "reason" | "claims">;

async function verifyPredicate(
  { predicateType, predicate }: Statement,
  image: ImageFacts,
  options: VerifyOptions,
): Promise<PredicateVerdict> {
  if (predicateType === SEALED_IMAGE_TYPE) {
    const parsed = sealedImageSchema.safeParse(predicate);
    if (!parsed.success) return malformed(firstIssue(parsed.error));
    const { data: stated } = parsed;
    const { actual, knowsKeys } = await describeAs(stated, image, options);
    return judged(compareClaims(claimsOf(stated), claimsOf(actual), unknownOf(stated, knowsKeys)));
  }
  if (predicateType === PROVENANCE_TYPE) {
    const parsed = provenanceSchema.safeParse(predicate);
    if (!parsed.success) {
      if (isOwnProvenance(predicate)) return malformed(firstIssue(parsed.error));
      return {
        outcome: "ignored",
        reason: "it is provenance not written by seal, which can check only its own",
        claims: [],
      };
    }
    return judged(provenanceResults(parsed.data, await image.layers()));
  }
  const reason = isSealedImageType(predicateType)
    ? `it is of another version, ${predicateType}; this seal knows ${SEALED_IMAGE_TYPE}`
    : `it states something else, ${predicateType}`;
  return { outcome: "ignored", reason, claims: [] };
}

/**
 * Describes an image for the firmware that a statement is for, as far as its keys are known: either they are given, or
 * the image has them.
 */
async function describeAs(
  stated: StatedImage,
  { describe }: ImageFacts,
  { policy }: VerifyOptions,
): Promise<{ readonly actual: StatedImage; readonly knowsKeys: boolean }> {
  const measured = measuredOf(stated);
  if (stated.firmware !== null && policy !== null) {
    return { actual: await describe({ ...measured, policy }), knowsKeys: true };
  }
  const own = stated.firmware === null ? null : await describe({ ...measured, policy: "own" });
  if (own !== null && sameFirmware(own, stated)) return { actual: own, knowsKeys: true };
  return { actual: await describe({ ...measured, policy: null }), knowsKeys: false };
}

function malformed(reason: string): PredicateVerdict {
  return { outcome: "false", reason: `its predicate does not have the form of its type: ${reason}`, claims: [] };
}

function judged(claims: readonly ClaimResult[]): PredicateVerdict {
  return { outcome: claims.some(({ kind }) => kind === "false") ? "false" : "true", reason: null, claims };
}

/** The banks and phases of a TPM in a predicate, so that the same ones are computed. */
function measuredOf({ boots }: StatedImage): {
  readonly banks: readonly PcrBank[];
  readonly phases: readonly string[];
} {
  const pcrs = boots.flatMap((boot) => boot.pcrs);
  const banks = new Set(pcrs.flatMap(({ values }) => Object.keys(values) as PcrBank[]));
  const phases = new Set(pcrs.flatMap((pcr) => pcr.phases.map(({ phase }) => phase)));
  return { banks: [...banks], phases: [...phases] };
}

/** Claims that can be computed only with the keys of the firmware: PCR 4 and 7, and which programs it starts. */
function unknownOf(stated: StatedImage, knowsKeys: boolean): Unknown {
  if (stated.firmware === null || knowsKeys) return { unchecked: null, mayBeUnstated: () => false };
  // Other firmware may refuse a way to boot. About each one that it starts, everything is stated.
  const started = stated.boots.map(nameBoot);
  return {
    unchecked: {
      about: /^(?:keys of the firmware$|PCR [47] of )/,
      reason: "give the keys of the firmware to compute it: --keys or --vars",
    },
    mayBeUnstated: (about) =>
      /^(?:boot of |PCR \d+ of )/.test(about) && !started.some((way) => about.endsWith(` of ${way}`)),
  };
}
