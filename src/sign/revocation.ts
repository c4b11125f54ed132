/**
 * What dbx forbids about a signature, by the rules of EDK II's DxeImageVerificationLib
 * (IsForbiddenByDbx, IsAllowedByDb).
 */
import type { ParsedCertificate } from "./certificate.ts";
import { findCertificateHash, type ListedCertificateHash, type SignatureDatabase } from "./database.ts";
import { timeText } from "./efi-time.ts";
import type { SignedMessage } from "./signed-data.ts";
import { findTrustPath } from "./trust.ts";

/**
 * Why a signature is forbidden, and with it the whole file; null when it is not. A certificate in dbx forbids
 * what it, or one that it issued, signed; the hash of a certificate what that certificate signed, even if the
 * signature is invalid.
 * @param problem why the signature is invalid; null when it is valid
 */
export function findRevocation(
  { signerCertificate, certificates }: Pick<SignedMessage, "signerCertificate" | "certificates">,
  problem: string | null,
  revoked: SignatureDatabase,
): string | null {
  if (signerCertificate === null) {
    return "the signer's certificate is not included: if there is a dbx, firmware refuses the whole file because of it";
  }
  const { subjectText } = signerCertificate;
  const path = problem === null ? findTrustPath(signerCertificate, certificates, revoked.certificates) : null;
  const forbidden = path?.at(-1);
  if (path !== null && forbidden !== undefined) {
    return path.length === 1
      ? `${subjectText} is revoked in ${forbidden.label}`
      : `${subjectText} was issued by ${forbidden.subjectText}, which is revoked in ${forbidden.label}`;
  }
  const hash = findCertificateHash(revoked.certificateHashes, signerCertificate);
  return hash === null ? null : `${subjectText} is revoked by its hash in ${hash.subject}${sinceText(hash)}`;
}

/**
 * Why a path to a trusted certificate does not count; null when it does. Other signatures of the file still may. All
 * certificates of the path are looked up, as the specification requires; EDK II skips those in between.
 * @param path from the signer to the trusted certificate
 */
export function findRevokedIssuer(path: readonly ParsedCertificate[], revoked: SignatureDatabase): string | null {
  for (const [index, certificate] of path.entries()) {
    const hash = findCertificateHash(revoked.certificateHashes, certificate);
    if (hash === null) continue;
    const isBetween = index > 0 && index < path.length - 1;
    const caveat = isBetween ? "; EDK II does not look there and still starts the file" : "";
    return `it is trusted through ${certificate.subjectText}, which is revoked by its hash in ${hash.subject}${sinceText(hash)}${caveat}`;
  }
  return null;
}

/**
 * Older signatures would stay good where a time stamp proves their age, by clocks that dbt names; hardly
 * a machine has a dbt.
 */
function sinceText({ since }: ListedCertificateHash): string {
  return since === null ? "" : ` (since ${timeText(since).slice(0, 10)}; without trusted timestamps this means always)`;
}
