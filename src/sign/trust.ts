/**
 * Certificate paths from a signer to a trusted certificate, by the rules that firmware's OpenSSL applies (EDK
 * II, Pkcs7Verify): the trusted certificate need not be self-signed, may be the signer's own, and validity
 * periods do not count.
 */
import { equalBytes } from "../bytes.ts";
import { isIssuedBy, type ParsedCertificate } from "./certificate.ts";
import { OID } from "./oids.ts";

/** Longer paths exist nowhere; the limit bounds the work for made-up ones. */
const MAX_PATH_LENGTH = 8;

/**
 * @param included certificates that came with the signature and may be intermediates
 * @returns the path from the signer to the trusted certificate, both included; null when there is none
 */
export function findTrustPath(
  signer: ParsedCertificate,
  included: readonly ParsedCertificate[],
  trusted: readonly ParsedCertificate[],
): readonly ParsedCertificate[] | null {
  // Breadth first, every certificate at most once: the work is bounded by the square of their number.
  let paths: (readonly ParsedCertificate[])[] = [[signer]];
  let unused = included.filter((certificate) => !equalBytes(certificate.der, signer.der));
  for (let length = 1; length <= MAX_PATH_LENGTH && paths.length > 0; length++) {
    for (const path of paths) {
      const anchor = findAnchor(path, trusted);
      if (anchor !== null) return anchor;
    }
    const longer: (readonly ParsedCertificate[])[] = [];
    for (const path of paths) {
      const issuers = unused.filter((candidate) => mayFollow(path, candidate));
      unused = unused.filter((candidate) => !issuers.includes(candidate));
      longer.push(...issuers.map((issuer) => [...path, issuer]));
    }
    paths = longer;
  }
  return null;
}

/** How a signer is trusted. */
export interface FoundTrust {
  /** From the signer to the trusted certificate; null when no path counts. */
  readonly path: readonly ParsedCertificate[] | null;
  /** Why an existing path does not count; null when there is no path. */
  readonly problem: string | null;
}

/**
 * The path to the first of the trusted certificates that has one: EDK II asks db in order, and the first match decides.
 */
export function firstTrustPath(
  signer: ParsedCertificate,
  included: readonly ParsedCertificate[],
  trusted: readonly ParsedCertificate[],
): FoundTrust {
  let problem: string | null = null;
  for (const certificate of trusted) {
    const path = findTrustPath(signer, included, [certificate]);
    if (path === null) continue;
    const own = path.map((one, index) => extensionProblem(one, index)).find((found) => found !== null) ?? null;
    if (own === null) return { path, problem: null };
    problem ??= own;
  }
  return { path: null, problem };
}

/**
 * Verifiers refuse a certificate that may not mean what they take it for (RFC 5280 4.2), as OpenSSL's X509_verify_cert
 * does. Name constraints are about the certificates below.
 * @param index in the path; 0: the signer
 */
function extensionProblem({ unhandledExtensions, subjectText }: ParsedCertificate, index: number): string | null {
  const type = unhandledExtensions.find((one) => one !== OID.nameConstraints || index > 0);
  if (type === undefined) return null;
  return type === OID.nameConstraints
    ? `the certificate ${subjectText} has name constraints, which seal does not evaluate`
    : `the certificate ${subjectText} has the critical extension ${type}, which firmware does not know`;
}

/** The path with the trusted certificate as its end, when its last one is trusted or issued by a trusted one. */
function findAnchor(
  path: readonly ParsedCertificate[],
  trusted: readonly ParsedCertificate[],
): readonly ParsedCertificate[] | null {
  const last = path.at(-1);
  if (last === undefined) return null;
  const same = trusted.find((certificate) => equalBytes(certificate.der, last.der));
  if (same !== undefined) return [...path.slice(0, -1), same];
  const issuer = trusted.find((candidate) => mayFollow(path, candidate));
  return issuer === undefined ? null : [...path, issuer];
}

/**
 * Whether a certificate may issue the last one of a path: it is a CA, allows a path of that length, and did issue it.
 */
function mayFollow(path: readonly ParsedCertificate[], candidate: ParsedCertificate): boolean {
  const last = path.at(-1);
  if (last === undefined || !candidate.x509.ca) return false;
  // RFC 5280 4.2.1.9: pathLenConstraint counts the certificates between it and the signer, self-issued ones aside.
  const between = path.slice(1).filter((certificate) => !equalBytes(certificate.subject, certificate.issuer)).length;
  if (candidate.pathLength !== null && between > candidate.pathLength) return false;
  return isIssuedBy(last, candidate);
}
