/** X.509 certificates (RFC 5280): the parts that signatures name, for which node's own class has no accessor. */
import { type KeyObject, X509Certificate } from "node:crypto";
import { equalBytes } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { contextTag, DerReader, primitiveContextTag, TAG } from "./der.ts";
import { OID } from "./oids.ts";

/** An X.509 certificate as DER. */
export interface Certificate {
  readonly der: Uint8Array;
  /** What the user knows it by, for messages: a path. */
  readonly label: string;
}

/** A certificate that has been read; fields named after TBSCertificate are DER, with tag and length. */
export interface ParsedCertificate extends Certificate {
  /** TBSCertificate, what the issuer signed, and what revocations by hash are the hash of. */
  readonly tbs: Uint8Array;
  readonly serialNumber: Uint8Array;
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** One line, for people: `CN=Example db 2026`. */
  readonly subjectText: string;
  readonly issuerText: string;
  /** pathLenConstraint of basicConstraints; null without one. */
  readonly pathLength: number | null;
  /**
   * Extensions that restrict what the certificate is valid for and that are not evaluated here, by object identifier.
   */
  readonly unhandledExtensions: readonly string[];
  readonly x509: X509Certificate;
}

/** Certificates are a few KiB; one that says it has megabytes is an attack on memory or time. */
const MAX_CERTIFICATE_BYTES = 1 << 20;

/**
 * Reads a DER certificate. Nothing about its signature or validity is checked.
 * @throws SealError `input` with the certificate's label when it is not a certificate
 */
export function parseCertificate(certificate: Certificate): ParsedCertificate {
  const { der, label } = certificate;
  if (der.length > MAX_CERTIFICATE_BYTES) throw inputError(label, "this certificate is impossibly large");
  const outer = new DerReader(der, label);
  const whole = outer.enter("a certificate");
  outer.end("the certificate");
  const tbsCertificate = whole.value(TAG.sequence, "TBSCertificate");
  const tbs = whole.inside(tbsCertificate);
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
  tbs.value(TAG.sequence, "subjectPublicKeyInfo");
  // [1] and [2] are the unique identifiers of version 2, which are not in use.
  for (const n of [1, 2]) tbs.optional(primitiveContextTag(n), "unique identifier");
  const extensions = tbs.optional(contextTag(3), "extensions");
  tbs.end("TBSCertificate");
  const x509 = openX509(der, label);
  return {
    der,
    label,
    tbs: tbsCertificate.encoded,
    serialNumber,
    issuer,
    subject,
    notBefore,
    notAfter,
    subjectText: nameText(x509.subject),
    issuerText: nameText(x509.issuer),
    ...(extensions === null ? NO_EXTENSIONS : readExtensions(tbs.inside(extensions))),
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

/**
 * What to report about a certificate that is not valid now; null when it is. Firmware has no clock that it trusts and
 * does not look at that, other verifiers do: wherever such a certificate is used this is a warning, and never an error.
 */
export function validityWarning({ notBefore, notAfter, subjectText }: ParsedCertificate, now: Date): string | null {
  if (now >= notBefore && now <= notAfter) return null;
  const day = (date: Date) => date.toISOString().slice(0, 10);
  const when = now > notAfter ? `expired on ${day(notAfter)}` : `is not valid before ${day(notBefore)}`;
  return `the certificate ${subjectText} ${when}: firmware still accepts it, other tools may not`;
}

/** `RSA-3072`, for reports. */
export function keyName(certificate: ParsedCertificate): string {
  const { asymmetricKeyType, asymmetricKeyDetails } = publicKeyOf(certificate);
  const kind = (asymmetricKeyType ?? "unknown").toUpperCase();
  const bits = asymmetricKeyDetails?.modulusLength ?? asymmetricKeyDetails?.namedCurve;
  return bits === undefined ? kind : `${kind}-${bits}`;
}

/** Whether `issuer` signed `certificate`, by name and by signature. */
export function isIssuedBy(certificate: ParsedCertificate, issuer: ParsedCertificate): boolean {
  if (!equalBytes(certificate.issuer, issuer.subject)) return false;
  try {
    // The first checks key identifiers and what the issuer's key may be used for, the second the signature.
    return certificate.x509.checkIssued(issuer.x509) && certificate.x509.verify(issuer.x509.publicKey);
  } catch {
    // A key of a kind that OpenSSL does not know can't have signed anything we accept.
    return false;
  }
}

function openX509(der: Uint8Array, subject: string): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch (error) {
    throw inputError(subject, "this is not a valid X.509 certificate", error);
  }
}

type Extensions = Pick<ParsedCertificate, "pathLength" | "unhandledExtensions">;
const NO_EXTENSIONS: Extensions = { pathLength: null, unhandledExtensions: [] };

/**
 * Critical extensions that OpenSSL, which EDK II verifies with, takes for handled. Those about policies, places of
 * revocation lists and other names say nothing about who may sign.
 */
const HANDLED_CRITICAL: ReadonlySet<string> = new Set([
  OID.basicConstraints,
  OID.keyUsage,
  OID.extendedKeyUsage,
  ...["2.5.29.17", "2.5.29.31", "2.5.29.32", "2.5.29.33", "2.5.29.36", "2.5.29.54"],
  ...["2.16.840.1.113730.1.1", "1.3.6.1.5.5.7.48.1.5"],
]);

/** RFC 5280 4.2. Name constraints count also when they are not critical: OpenSSL evaluates them, seal does not. */
function readExtensions(reader: DerReader): Extensions {
  const list = reader.enter("extensions");
  reader.end("extensions");
  const unhandled: string[] = [];
  let pathLength: number | null = null;
  while (!list.atEnd) {
    const extension = list.enter("extension");
    const type = extension.objectIdentifier("type of an extension");
    // DER has no byte here but 0xff, or leaves a false out; readers that are lenient take any but 0 for true.
    const isCritical = extension.optional(TAG.boolean, "critical")?.content.some((byte) => byte !== 0) ?? false;
    const { content } = extension.value(TAG.octetString, "value of an extension");
    if (type === OID.nameConstraints || (isCritical && !HANDLED_CRITICAL.has(type))) unhandled.push(type);
    if (type === OID.basicConstraints) pathLength = readPathLength(new DerReader(content, reader.subject));
  }
  return { pathLength, unhandledExtensions: unhandled };
}

/** RFC 5280 4.2.1.9. */
function readPathLength(reader: DerReader): number | null {
  const constraints = reader.enter("basicConstraints");
  constraints.optional(TAG.boolean, "cA");
  return constraints.atEnd ? null : constraints.smallInteger("pathLenConstraint");
}

/** Node separates the parts of a name by newlines, in the order of the certificate. */
function nameText(name: string | undefined): string {
  const text = (name ?? "").split("\n").join(", ");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a name from outside must not write to a terminal
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, "?");
}
