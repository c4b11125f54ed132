/**
 * Judges PE files as UEFI firmware does (UEFI specification 2.10, 32.5.1; EDK II, DxeImageVerificationLib): one good
 * signature by a trusted certificate, or the image's hash in db, is enough, unless dbx forbids the image or any of its
 * signatures. For each signature, what makes it invalid is reported.
 */
import { equalBytes, toHex } from "../bytes.ts";
import { SealError } from "../errors.ts";
import { AUTHENTIHASH_ALGORITHMS, type AuthentihashAlgorithm, type HashForm } from "../pe/authentihash.ts";
import { readCertificateTable, WIN_CERTIFICATE_TYPE, type WinCertificate } from "../pe/certtable.ts";
import type { PeImage } from "../pe/headers.ts";
import { PePass } from "../pe/pe-pass.ts";
import { shortDigest } from "../text.ts";
import { algorithmName, digestAlgorithmOf } from "./algorithms.ts";
import { keyName, type ParsedCertificate, validityWarning } from "./certificate.ts";
import { findImageHash, type ListedHash, type SignatureDatabase } from "./database.ts";
import { objectIdentifier } from "./der.ts";
import { OID } from "./oids.ts";
import { findRevocation, findRevokedIssuer } from "./revocation.ts";
import { readSignature, type Signature } from "./signature.ts";
import { firstTrustPath } from "./trust.ts";
import { digestDisagreement, verifyMessage, type Weakness } from "./verify-message.ts";

/** Who is trusted, and when. */
export interface Trust {
  /** Certificates of signers or of their issuers; none: signatures are only checked in themselves. */
  readonly certificates: readonly ParsedCertificate[];
  /** Time used to report certificate validity; never affects the verdict, as firmware has no clock that it trusts. */
  readonly now: Date;
  /** Images that are accepted with any signature or none, by their Authenticode hash. */
  readonly imageHashes?: readonly ListedHash[];
  /** What dbx holds; firmware has stricter rules for signatures as soon as there is one. */
  readonly revoked?: SignatureDatabase | undefined;
}

/**
 * - `trusted`: the signature is valid and its signer is trusted
 * - `untrusted`: it is valid, but by another signer
 * - `revoked`: dbx forbids it, and so the whole file
 * - `invalid`: it is not a valid signature of this file
 */
export type Outcome = "trusted" | "untrusted" | "revoked" | "invalid";

/** The verdict on one signature of a PE file. */
export interface SignatureVerdict {
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
  /** Name of the trusted certificate: the signer's own, or that of an issuer; null when there is none. */
  readonly authority: string | null;
}

/** Whether firmware would start a PE file, and why. */
export interface PeVerdict {
  /** Whether firmware that trusts in this way would start the file. */
  readonly valid: boolean;
  /** Why the file as a whole is accepted or refused, whatever its single signatures say; null when they decide. */
  readonly decision: string | null;
  /** In the order of the file. */
  readonly signatures: readonly SignatureVerdict[];
}

/**
 * Checks all signatures of a PE image.
 * @throws SealError `input` when its certificate table is corrupt
 * @example
 * ```ts
 * import { readFile } from "node:fs/promises";
 * import { parsePe, readCertificateFile, verifyPe } from "seal";
 *
 * const certificates = readCertificateFile(await readFile("db.crt"), "db.crt");
 * const pe = parsePe([await readFile("tool.efi")], "tool.efi");
 * const { valid, decision, signatures } = verifyPe(pe, { certificates, now: new Date() });
 * console.log(valid, decision, signatures);
 * ```
 */
export function verifyPe(pe: PeImage, trust: Trust): PeVerdict {
  return verifyPePass(new PePass(pe, "verify"), trust);
}

/** {@link verifyPe} of an image whose hashes others ask for too. */
export function verifyPePass(pass: PePass, trust: Trust): PeVerdict {
  const hash: ImageHasher = (algorithm) => pass.hash(algorithm);
  const signatures = readCertificateTable(pass.pe).map((entry) => judge(entry, hash, trust));
  return { ...judgeImage(signatures, pass, trust), signatures };
}

/** Why firmware does not start a program; null when it does. */
export function refusalReason({ valid, decision, signatures }: PeVerdict): string | null {
  if (valid) return null;
  if (decision !== null) return decision;
  const reasons = signatures.flatMap(({ reason }) => reason ?? []);
  return reasons.length === 0 ? "it is not signed" : [...new Set(reasons)].join("; ");
}

/** In the order of EDK II: what dbx forbids is refused, then db is asked. */
function judgeImage(
  signatures: readonly SignatureVerdict[],
  pass: PePass,
  { imageHashes = [], revoked }: Trust,
): Pick<PeVerdict, "valid" | "decision"> {
  const listed = (
    hashes: readonly ListedHash[],
    algorithms: readonly AuthentihashAlgorithm[],
    form: HashForm = "firmware",
  ) => {
    for (const algorithm of algorithms) {
      if (hashes.every((one) => one.algorithm !== algorithm)) continue;
      const found = findImageHash(hashes, algorithm, pass.hash(algorithm, form));
      if (found !== null) return found;
    }
    return null;
  };
  const isSigned = signatures.length > 0;
  // EDK II computes the hashes that the signatures name, and of a file without signatures all.
  const named = AUTHENTIHASH_ALGORITHMS.filter(
    (name) => !isSigned || signatures.some(({ digestAlgorithm }) => digestAlgorithm === name),
  );
  const others = AUTHENTIHASH_ALGORITHMS.filter((name) => !named.includes(name));
  const forbidden = listed(revoked?.imageHashes ?? [], [...named, ...others]);
  if (forbidden !== null) {
    const isSeen = named.includes(forbidden.algorithm);
    const seen = named.map(displayAlgorithm).join(", ");
    const caveat = isSeen
      ? ""
      : `; EDK II looks only for hashes of the algorithms that the signatures use (${seen}), and misses it`;
    return { valid: false, decision: `${hashVerdict("revoked", forbidden)}${caveat}` };
  }
  const trusted = signatures.some(({ outcome }) => outcome === "trusted");
  if (signatures.some(({ outcome }) => outcome === "revoked")) {
    const decision = trusted ? "a revoked signature forbids the file, regardless of its other signatures" : null;
    return { valid: false, decision };
  }
  if (trusted) return { valid: true, decision: null };
  const allowed = listed(imageHashes, isSigned ? named : SHA256_FIRST);
  if (allowed === null) {
    const padded = isSigned ? null : listed(imageHashes, SHA256_FIRST, "signature");
    return { valid: false, decision: padded === null ? null : `not trusted: ${paddedHash(padded)}` };
  }
  const isNew = !isSigned && allowed.algorithm !== "sha256";
  const caveats = [
    ...(isNew ? ["EDK II before 2023-11 looks for SHA-256 only"] : []),
    ...[listed(revoked?.imageHashes ?? [], AUTHENTIHASH_ALGORITHMS, "signature")].flatMap((padded) =>
      padded === null ? [] : [`it is not revoked: ${paddedHash(padded)}`],
    ),
  ];
  return { valid: true, decision: [hashVerdict("trusted", allowed), ...caveats].join("; ") };
}

/** Of a hash that lists of other tools name for a file without signatures, and that firmware does not find. */
function paddedHash({ algorithm, subject }: ListedHash): string {
  return `the ${displayAlgorithm(algorithm)} hash in ${subject} covers the zero padding that signing adds; EDK II hashes an unsigned file without padding`;
}

/** All, the one that all firmware looks for in front. */
const SHA256_FIRST = ["sha256", ...AUTHENTIHASH_ALGORITHMS.filter((name) => name !== "sha256")] as const;

function displayAlgorithm(algorithm: AuthentihashAlgorithm): string {
  return algorithm.replace("sha", "SHA-");
}

function hashVerdict(verdict: "trusted" | "revoked", { algorithm, subject }: ListedHash): string {
  return `${verdict}: its ${displayAlgorithm(algorithm)} hash is in ${subject}`;
}

/**
 * Checks a signature in itself, whoever made it.
 * @param imageHash the Authenticode hash of the image that it should sign
 * @returns why it is invalid; null when it is valid
 */
export function verifySignature(
  { message, image, signedOctets }: Signature,
  imageHash: ImageHasher,
  weakness: Weakness = "refused",
): string | null {
  const { declaredDigestAlgorithm, digestAlgorithm } = message;
  const problem =
    digestDisagreement([declaredDigestAlgorithm, digestAlgorithm, image.digestAlgorithm]) ??
    verifyMessage(message, signedOctets, weakness);
  if (problem !== null) return problem;
  const digest = digestAlgorithmOf(digestAlgorithm);
  if (digest === null) return `its digest algorithm ${algorithmName(digestAlgorithm)} is not supported`;
  const actual = imageHash(digest);
  if (equalBytes(actual, image.digest)) return null;
  return `the file was changed after it was signed (signed ${shortDigest(toHex(image.digest), 6)}, now ${shortDigest(toHex(actual), 6)})`;
}

function judge(entry: WinCertificate, hash: ImageHasher, trust: Trust): SignatureVerdict {
  let known = UNREADABLE;
  const isSeen = algorithmSeen(entry) !== null;
  const revoked = isSeen ? trust.revoked : undefined;
  try {
    if (entry.type !== WIN_CERTIFICATE_TYPE.pkcsSignedData) {
      return { ...known, reason: `entries of type 0x${entry.type.toString(16)} are not supported` };
    }
    const signature = readSignature(entry.data, "malformed signature");
    known = { ...known, ...describe(signature) };
    const problem = verifySignature(signature, hash);
    if (revoked !== undefined) {
      const forFirmware = problem === null ? null : verifySignature(signature, hash, "accepted");
      const revocation = findRevocation(signature.message, forFirmware, revoked);
      if (revocation !== null) return { ...known, outcome: "revoked", reason: revocation };
    }
    const { signerCertificate } = signature.message;
    // A signature that passed names a certificate; the compiler can't know that.
    if (problem !== null || signerCertificate === null) return { ...known, reason: problem };
    if (!isSeen)
      return {
        ...known,
        reason: "firmware ignores it: its hash algorithm is not where EDK II looks for it",
      };
    return { ...known, ...judgeTrust(signerCertificate, signature, trust) };
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    // What can't be read is not a signature; without a dbx the others may be good.
    if (revoked === undefined) return { ...known, reason: error.message };
    const reason = `${error.message}; if there is a dbx, firmware refuses the whole file because of it`;
    return { ...known, outcome: "revoked", reason };
  }
}

/**
 * Of the first digest algorithm in PKCS#7 from 256 to 65,535 bytes, where EDK II takes it from without
 * reading what is before.
 */
const DIGEST_OFFSET = 32;
const LONG_FORM = 0x82;
const SEEN_DIGESTS = AUTHENTIHASH_ALGORITHMS.map((name) => ({ name, oid: objectIdentifier(OID[name]).subarray(2) }));

/** The hash that EDK II takes a signature to be over (DxeImageVerificationLib, HashPeImageByType); null: it ignores it. */
export function algorithmSeen({ data }: Pick<WinCertificate, "data">): AuthentihashAlgorithm | null {
  if (((data[1] ?? 0) & LONG_FORM) !== LONG_FORM) return null;
  const named = ({ oid }: { readonly oid: Uint8Array }) =>
    equalBytes(data.subarray(DIGEST_OFFSET, DIGEST_OFFSET + oid.length), oid);
  return SEEN_DIGESTS.find(named)?.name ?? null;
}

const UNREADABLE: SignatureVerdict = {
  outcome: "invalid",
  reason: null,
  notes: [],
  subject: "",
  issuer: "",
  key: "",
  digestAlgorithm: "",
  signingTime: null,
  trustedBy: null,
  authority: null,
};

function describe(signature: Signature): Partial<SignatureVerdict> {
  const { signerCertificate, digestAlgorithm, signedAttributes } = signature.message;
  return {
    subject: signerCertificate?.subjectText ?? "",
    issuer: signerCertificate?.issuerText ?? "",
    key: signerCertificate === null ? "" : keyName(signerCertificate),
    digestAlgorithm: digestAlgorithmOf(digestAlgorithm) ?? digestAlgorithm,
    signingTime: signedAttributes?.signingTime ?? null,
    notes: formNotes(signature),
  };
}

/** What is unusual about the form of a signature, in words; firmware accepts it anyway. */
export function formNotes({ message, image }: Signature): readonly string[] {
  return [
    ...(image.type === "image" ? [] : [KEY_PURPOSE]),
    ...(message.unsignedAttributes.includes(OID.nestedSignature) ? [NESTED] : []),
  ];
}

const NESTED = "another signature is nested in this one; firmware ignores it";
const KEY_PURPOSE = `it names the type ${OID.spcIndividualPurpose} (individual code signing) instead of ${OID.spcPeImageData} (PE image), as written by pesign up to 0.112; firmware ignores that`;

function judgeTrust(signer: ParsedCertificate, signature: Signature, trust: Trust): Partial<SignatureVerdict> {
  const { certificates } = signature.message;
  const { path, problem } = firstTrustPath(signer, certificates, trust.certificates);
  const notes = [
    ...formNotes(signature),
    ...(path ?? [signer]).flatMap((one) => validityWarning(one, trust.now) ?? []),
  ];
  const anchor = path?.at(-1);
  if (path !== null && anchor !== undefined) {
    const revocation = trust.revoked === undefined ? null : findRevokedIssuer(path, trust.revoked);
    if (revocation !== null) return { outcome: "untrusted", reason: revocation, notes };
    return { outcome: "trusted", notes, trustedBy: anchor.label, authority: anchor.subjectText };
  }
  const nobody =
    trust.certificates.length === 0
      ? "not checked against any certificate"
      : `${signer.subjectText} is not a trusted certificate, nor issued by one`;
  return { outcome: "untrusted", reason: problem ?? nobody, notes };
}

/** The Authenticode hash of the image in question. */
type ImageHasher = (algorithm: AuthentihashAlgorithm) => Uint8Array;
