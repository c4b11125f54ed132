/** What a machine starts that has enrolled the keys of a directory: whether that is what they are shipped with. */
import { readCertificateTable } from "../pe/certtable.ts";
import type { PeImage } from "../pe/headers.ts";
import type { ParsedCertificate } from "./certificate.ts";
import type { EnrollKeys } from "./enroll-keys.ts";
import { findRevocation } from "./revocation.ts";
import { firstTrustPath } from "./trust.ts";
import { type Trust, verifyPe } from "./verify.ts";

/**
 * What the firmware of a machine trusts that has enrolled these keys; null when its db can't be read.
 * @param now for the validity of certificates
 */
export function enrolledTrust({ updates }: EnrollKeys, now: Date): Trust | null {
  const db = updates.get("db")?.database;
  if (db === undefined) return null;
  const revoked = updates.get("dbx")?.database;
  const { certificates, imageHashes } = db;
  return { certificates, imageHashes, now, revoked };
}

/**
 * Why nothing that a signer signs would start on a machine that has enrolled these keys; null when it would, or when
 * single programs are allowed by their hash, so that each must be looked at.
 * @param chain what comes with the signature
 */
export function signerRefusal(
  { updates }: EnrollKeys,
  signer: ParsedCertificate,
  chain: readonly ParsedCertificate[],
): string | null {
  const db = updates.get("db")?.database;
  if (db === undefined || db.imageHashes.length > 0) return null;
  const { path, problem } = firstTrustPath(signer, chain, db.certificates);
  if (path === null) {
    const known = db.certificates.map(({ subjectText }) => subjectText).join(", ");
    return `does not allow the signer ${signer.subjectText}${problem === null ? ` (it contains ${known})` : `: ${problem}`}`;
  }
  const revoked = updates.get("dbx")?.database;
  if (revoked === undefined) return null;
  const reason = findRevocation({ signerCertificate: signer, certificates: chain }, null, revoked);
  return reason === null ? null : `is enrolled with a dbx that forbids the signer: ${reason}`;
}

/**
 * Why a signed program would not start on a machine with this trust; null when it would, and for one
 * without any signature.
 * @throws SealError `input` when its certificate table is corrupt
 */
export function programRefusal(pe: PeImage, trust: Trust): string | null {
  if (readCertificateTable(pe).length === 0) return null;
  const { valid, decision, signatures } = verifyPe(pe, trust);
  if (valid) return null;
  return decision ?? signatures.find(({ reason }) => reason !== null)?.reason ?? "no signature on it is accepted";
}
