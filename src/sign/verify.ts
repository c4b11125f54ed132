/**
 * Judges the Authenticode signatures of a PE file, as UEFI firmware does (UEFI specification 2.10, 32.5.1; EDK II,
 * DxeImageVerificationLib): one good signature by a trusted certificate is enough. What makes a signature bad is told for each.
 */
import { type Chunks, equalBytes, toHex } from "../bytes.ts";
import { SealError } from "../errors.ts";
import { type AuthentihashAlgorithm, authentihash } from "../pe/authentihash.ts";
import { readCertificateTable, WIN_CERTIFICATE_TYPE, type WinCertificate } from "../pe/certtable.ts";
import { type PeImage, parsePe } from "../pe/headers.ts";
import { algorithmName, digestOf } from "./algorithms.ts";
import { keyName, type ParsedCertificate } from "./certificate.ts";
import { OID } from "./oids.ts";
import { readSignature, type Signature } from "./signature.ts";
import { findTrustPath } from "./trust.ts";
import { digestDisagreement, verifyMessage } from "./verify-message.ts";

/** Who is trusted, and when. */
export interface Trust {
  /** Certificates of signers or of their issuers; none: signatures are only checked in themselves. */
  readonly certificates: readonly ParsedCertificate[];
  /** The time that validity is told for. It never decides: firmware has no clock that it trusts. */
  readonly now: Date;
}

/**
 * - `trusted`: the signature is good and its signer is trusted
 * - `untrusted`: it is good, but by somebody else
 * - `invalid`: it is no signature of this file
 */
export type Outcome = "trusted" | "untrusted" | "invalid";

export interface SignatureReport {
  readonly outcome: Outcome;
  /** Why it is not trusted; null when it is. */
  readonly reason: string | null;
  /** Worth knowing, but without influence on the outcome. */
  readonly notes: readonly string[];
  /** Names of the signer and its issuer, and the key (`RSA-2048`); empty when they can't be read. */
  readonly subject: string;
  readonly issuer: string;
  readonly key: string;
  /** `sha256`; empty when it can't be read, an object identifier when it is unknown. */
  readonly digestAlgorithm: string;
  readonly signingTime: Date | null;
  /** What the trusted certificate is known by; null when there is none. */
  readonly trustedBy: string | null;
}

export interface PeReport {
  /** Whether at least one signature is trusted. */
  readonly valid: boolean;
  /** In the order of the file. */
  readonly signatures: readonly SignatureReport[];
}

/**
 * Checks all signatures of a PE file.
 * @param file the whole file; its first chunk holds all headers
 * @throws SealError `input` when it is no PE image or its certificate table is corrupt
 */
export function verifyPe(file: Chunks, subject: string, trust: Trust): PeReport {
  const pe = parsePe(file, subject);
  const hash = imageHasher(pe);
  const signatures = readCertificateTable(pe).map((entry) => judge(entry, hash, trust));
  return { valid: signatures.some(({ outcome }) => outcome === "trusted"), signatures };
}

/**
 * Checks a signature in itself, whoever made it.
 * @param imageHash the Authenticode hash of the image that it should sign
 * @returns why it is no good; null when it is
 */
export function verifySignature(
  { message, image, signedOctets }: Signature,
  imageHash: (algorithm: AuthentihashAlgorithm) => Uint8Array,
): string | null {
  const { declaredDigestAlgorithm, digestAlgorithm } = message;
  const problem =
    digestDisagreement([declaredDigestAlgorithm, digestAlgorithm, image.digestAlgorithm]) ??
    verifyMessage(message, signedOctets);
  if (problem !== null) return problem;
  const digest = digestOf(digestAlgorithm);
  if (digest === null) return `its digest algorithm ${algorithmName(digestAlgorithm)} is not supported`;
  const actual = imageHash(digest);
  if (equalBytes(actual, image.digest)) return null;
  return `the file was changed after it was signed (signed ${shorten(image.digest)}, is ${shorten(actual)})`;
}

function judge(
  entry: WinCertificate,
  hash: (algorithm: AuthentihashAlgorithm) => Uint8Array,
  trust: Trust,
): SignatureReport {
  let known = UNREADABLE;
  try {
    if (entry.type !== WIN_CERTIFICATE_TYPE.pkcsSignedData) {
      return { ...known, reason: `entries of type 0x${entry.type.toString(16)} are not supported` };
    }
    const signature = readSignature(entry.data, "malformed signature");
    known = { ...known, ...describe(signature) };
    const problem = verifySignature(signature, hash);
    const { signerCertificate } = signature.message;
    // A signature that passed names a certificate; this tells the compiler.
    if (problem !== null || signerCertificate === null) return { ...known, reason: problem };
    return { ...known, ...judgeTrust(signerCertificate, signature, trust) };
  } catch (error) {
    // What can't be read is no signature; the others may be good.
    if (error instanceof SealError) return { ...known, reason: error.message };
    throw error;
  }
}

const UNREADABLE: SignatureReport = {
  outcome: "invalid",
  reason: null,
  notes: [],
  subject: "",
  issuer: "",
  key: "",
  digestAlgorithm: "",
  signingTime: null,
  trustedBy: null,
};

function describe({ message }: Signature): Partial<SignatureReport> {
  const { signerCertificate, digestAlgorithm, signedAttributes, unsignedAttributes } = message;
  const nested = unsignedAttributes.includes(OID.nestedSignature);
  return {
    subject: signerCertificate?.subjectText ?? "",
    issuer: signerCertificate?.issuerText ?? "",
    key: signerCertificate === null ? "" : keyName(signerCertificate),
    digestAlgorithm: digestOf(digestAlgorithm) ?? digestAlgorithm,
    signingTime: signedAttributes?.signingTime ?? null,
    notes: nested ? ["there is another signature nested in this one, which firmware does not look at"] : [],
  };
}

function judgeTrust(signer: ParsedCertificate, signature: Signature, trust: Trust): Partial<SignatureReport> {
  const path = findTrustPath(signer, signature.message.certificates, trust.certificates);
  const notes = [
    ...(describe(signature).notes ?? []),
    ...(path ?? [signer]).flatMap((one) => validityNotes(one, trust.now)),
  ];
  const anchor = path?.at(-1);
  if (anchor !== undefined) return { outcome: "trusted", notes, trustedBy: anchor.label };
  const reason =
    trust.certificates.length === 0
      ? "not checked against any certificate"
      : `${signer.subjectText} is none of the given certificates, nor issued by one`;
  return { outcome: "untrusted", reason, notes };
}

function validityNotes(certificate: ParsedCertificate, now: Date): string[] {
  const { notBefore, notAfter, subjectText } = certificate;
  const day = (date: Date) => date.toISOString().slice(0, 10);
  if (now > notAfter)
    return [`the certificate ${subjectText} expired on ${day(notAfter)}; firmware accepts it all the same`];
  if (now < notBefore)
    return [`the certificate ${subjectText} is valid from ${day(notBefore)} on; firmware accepts it all the same`];
  return [];
}

/** Hashes the image once for each algorithm that a signature uses. */
function imageHasher(pe: PeImage): (algorithm: AuthentihashAlgorithm) => Uint8Array {
  const known = new Map<AuthentihashAlgorithm, Uint8Array>();
  return (algorithm) => {
    const hash = known.get(algorithm) ?? authentihash(pe, algorithm);
    known.set(algorithm, hash);
    return hash;
  };
}

function shorten(digest: Uint8Array): string {
  const hex = toHex(digest);
  return hex.length > 12 ? `${hex.slice(0, 6)}…${hex.slice(-4)}` : hex;
}
