/** X.509 certificates (RFC 5280): the parts that signatures name, for which node's own class has no accessor. */
import { type KeyObject, X509Certificate } from "node:crypto";
import { equalBytes } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { contextTag, DerReader, TAG } from "./der.ts";
import type { Certificate } from "./signer.ts";

/** A certificate that has been read; fields named after TBSCertificate are DER, with tag and length. */
export interface ParsedCertificate extends Certificate {
  readonly serialNumber: Uint8Array;
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** One line, for people: `CN=Example db 2026`. */
  readonly subjectText: string;
  readonly issuerText: string;
  readonly x509: X509Certificate;
}

/** Certificates are a few KiB; one that says it has megabytes is an attack on memory or time. */
const MAX_CERTIFICATE_BYTES = 1 << 20;

/**
 * Reads a DER certificate. Nothing about its signature or validity is checked.
 * @throws SealError `input` with the certificate's label when it is no certificate
 */
export function parseCertificate(certificate: Certificate): ParsedCertificate {
  const { der, label } = certificate;
  if (der.length > MAX_CERTIFICATE_BYTES) throw inputError(label, "this certificate is impossibly large");
  const outer = new DerReader(der, label);
  const whole = outer.enter("a certificate");
  outer.end("the certificate");
  const tbs = whole.enter("TBSCertificate");
  whole.value(TAG.sequence, "signatureAlgorithm");
  whole.value(TAG.bitString, "signatureValue");
  whole.end("the certificate");
  tbs.optional(contextTag(0), "version");
  const serialNumber = tbs.integer("serialNumber").encoded;
  tbs.value(TAG.sequence, "signature");
  const issuer = tbs.value(TAG.sequence, "issuer").encoded;
  const validity = tbs.enter("validity");
  const notBefore = validity.time("notBefore");
  const notAfter = validity.time("notAfter");
  const subject = tbs.value(TAG.sequence, "subject").encoded;
  const x509 = openX509(der, label);
  return {
    der,
    label,
    serialNumber,
    issuer,
    subject,
    notBefore,
    notAfter,
    subjectText: nameText(x509.subject),
    issuerText: nameText(x509.issuer),
    x509,
  };
}

/**
 * The public key of a certificate.
 * @throws SealError `input` when it is malformed or of a kind that OpenSSL does not know
 */
export function publicKeyOf(certificate: ParsedCertificate): KeyObject {
  try {
    return certificate.x509.publicKey;
  } catch (error) {
    throw inputError(certificate.label, "the public key in this certificate can't be read", error);
  }
}

/** Whether `issuer` signed `certificate`, by name and by signature. */
export function isIssuedBy(certificate: ParsedCertificate, issuer: ParsedCertificate): boolean {
  if (!equalBytes(certificate.issuer, issuer.subject)) return false;
  try {
    return certificate.x509.verify(issuer.x509.publicKey);
  } catch {
    // A key of a kind that OpenSSL does not know can't have signed anything we accept.
    return false;
  }
}

function openX509(der: Uint8Array, label: string): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch (error) {
    throw inputError(label, "this is no valid X.509 certificate", error);
  }
}

/** Node separates the parts of a name by newlines, in the order of the certificate. */
function nameText(name: string | undefined): string {
  const text = (name ?? "").split("\n").join(", ");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a name from outside must not write to a terminal
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, "?");
}
