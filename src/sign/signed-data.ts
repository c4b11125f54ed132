/**
 * Reads PKCS#7 SignedData (RFC 2315 9) with one signer, the message in Authenticode signatures and in signed updates of
 * UEFI variables. Only reads; `verify-message.ts` judges.
 */
import { equalBytes } from "../bytes.ts";
import { SealError } from "../errors.ts";
import { readAlgorithm } from "./algorithms.ts";
import { type ParsedCertificate, parseCertificate } from "./certificate.ts";
import { contextTag, DerReader, type DerValue, encodeValue, TAG } from "./der.ts";
import { OID } from "./oids.ts";

/** A PKCS#7 SignedData message. */
export interface SignedMessage {
  /** Digest algorithm of SignedData, by object identifier. */
  readonly declaredDigestAlgorithm: string;
  /** Object identifier of the content's type. */
  readonly contentType: string;
  /** The content that is part of the message; null when it is detached. */
  readonly content: DerValue | null;
  readonly certificates: readonly ParsedCertificate[];
  /** The included certificate that the signer's issuer and serial number name; null when it is not there. */
  readonly signerCertificate: ParsedCertificate | null;
  readonly digestAlgorithm: string;
  readonly signatureAlgorithm: string;
  /** Null: the signature is over the content itself. */
  readonly signedAttributes: SignedAttributes | null;
  readonly rawSignature: Uint8Array;
  /** Object identifiers of the attributes that nothing protects: time stamps, nested signatures. */
  readonly unsignedAttributes: readonly string[];
}

/** What the signature is over, when it is not the content itself. */
export interface SignedAttributes {
  /** DER of them as a SET: what the raw signature is over. */
  readonly encoded: Uint8Array;
  readonly contentType: string;
  readonly messageDigest: Uint8Array;
  readonly signingTime: Date | null;
}

/** Signatures come with a handful of certificates; building paths through very many would take long. */
const MAX_CERTIFICATES = 32;

/**
 * Reads what ContentInfo holds.
 * @param reader inside ContentInfo
 * @param known see {@link readSignedData}
 * @throws SealError `input` when that is not SignedData with one signer
 */
export function readContentInfo(reader: DerReader, known: readonly ParsedCertificate[] = []): SignedMessage {
  const type = reader.objectIdentifier("type of the PKCS#7 message");
  if (type !== OID.signedData) throw reader.error(`not a signed PKCS#7 message (type ${type})`);
  const explicit = reader.enter("SignedData", contextTag(0));
  reader.end("ContentInfo");
  const signedData = explicit.enter("SignedData");
  explicit.end("SignedData");
  return readSignedData(signedData, known);
}

/**
 * Reads the fields of SignedData.
 * @param reader inside its SEQUENCE
 * @param known certificates that have been parsed; an included one of the same bytes is that one, under its label
 * @throws SealError `input` for anything but SignedData with one signer
 */
export function readSignedData(reader: DerReader, known: readonly ParsedCertificate[] = []): SignedMessage {
  const version = reader.smallInteger("version of SignedData");
  if (version !== 1) throw reader.error(`SignedData has version ${version}, PKCS#7 requires 1`);
  const digestAlgorithms = reader.enter("digestAlgorithms", TAG.set);
  const declaredDigestAlgorithm = readAlgorithm(digestAlgorithms, "digest algorithm");
  digestAlgorithms.end("digestAlgorithms: expected exactly one");
  const content = readContent(reader.enter("content"));
  const certificates = readCertificates(reader, known);
  reader.optional(contextTag(1), "crls");
  const signerInfos = reader.enter("signerInfos", TAG.set);
  reader.end("SignedData");
  const signer = signerInfos.enter("SignerInfo");
  signerInfos.end("signerInfos: expected exactly one signer");
  return { declaredDigestAlgorithm, ...content, certificates, ...readSignerInfo(signer, certificates) };
}

/** Whether DER is a ContentInfo with SignedData, by its first elements. */
export function isSignedMessage(der: Uint8Array): boolean {
  try {
    const info = new DerReader(der, "").enter("ContentInfo");
    return info.nextTag === TAG.objectIdentifier && info.objectIdentifier("type") === OID.signedData;
  } catch (error) {
    if (error instanceof SealError) return false;
    throw error;
  }
}

/**
 * The certificates in a PKCS#7 message that may have no signer, the form in which CAs hand out chains (`.p7b`).
 * @param der ContentInfo
 * @throws SealError `input` when it is not SignedData in DER
 */
export function readCertificateBag(der: Uint8Array, subject: string): ParsedCertificate[] {
  const outer = new DerReader(der, subject);
  const info = outer.enter("ContentInfo");
  outer.end("ContentInfo");
  info.objectIdentifier("type of the PKCS#7 message");
  const reader = info.enter("SignedData", contextTag(0)).enter("SignedData");
  reader.smallInteger("version of SignedData");
  reader.value(TAG.set, "digestAlgorithms");
  reader.value(TAG.sequence, "content");
  return readCertificates(reader, []).map((certificate) => ({ ...certificate, label: subject }));
}

function readContent(reader: DerReader): Pick<SignedMessage, "contentType" | "content"> {
  const contentType = reader.objectIdentifier("type of the content");
  const value = reader.optional(contextTag(0), "content");
  reader.end("the content");
  if (value === null) return { contentType, content: null };
  const explicit = reader.inside(value);
  const content = explicit.any("content");
  explicit.end("the content");
  return { contentType, content };
}

function readCertificates(reader: DerReader, known: readonly ParsedCertificate[]): ParsedCertificate[] {
  const value = reader.optional(contextTag(0), "certificates");
  if (value === null) return [];
  const list = reader.inside(value);
  const certificates: ParsedCertificate[] = [];
  while (!list.atEnd) {
    if (certificates.length === MAX_CERTIFICATES) throw reader.error(`more than ${MAX_CERTIFICATES} certificates`);
    const { encoded } = list.value(TAG.sequence, "certificate");
    const subject = `${reader.subject}: certificate ${certificates.length + 1}`;
    const same = known.find(({ der }) => equalBytes(der, encoded));
    certificates.push(same ?? parseCertificate({ der: encoded, label: subject }));
  }
  return certificates;
}

type SignerInfo = Omit<SignedMessage, "declaredDigestAlgorithm" | "contentType" | "content" | "certificates">;

function readSignerInfo(reader: DerReader, certificates: readonly ParsedCertificate[]): SignerInfo {
  const version = reader.smallInteger("version of SignerInfo");
  if (version !== 1) throw reader.error(`SignerInfo has version ${version}, PKCS#7 requires 1`);
  const identifier = reader.enter("issuerAndSerialNumber");
  const issuer = identifier.value(TAG.sequence, "issuer").encoded;
  const serialNumber = identifier.integer("serialNumber").encoded;
  identifier.end("issuerAndSerialNumber");
  const digestAlgorithm = readAlgorithm(reader, "digest algorithm of the signer");
  const attributes = reader.optional(contextTag(0), "signed attributes");
  const signatureAlgorithm = readAlgorithm(reader, "signature algorithm");
  const rawSignature = reader.value(TAG.octetString, "signature").content;
  const unsigned = reader.optional(contextTag(1), "unsigned attributes");
  reader.end("SignerInfo");
  return {
    signerCertificate:
      certificates.find(
        (certificate) => equalBytes(certificate.issuer, issuer) && equalBytes(certificate.serialNumber, serialNumber),
      ) ?? null,
    digestAlgorithm,
    signatureAlgorithm,
    signedAttributes: attributes === null ? null : readSignedAttributes(reader, attributes),
    rawSignature,
    unsignedAttributes: unsigned === null ? [] : readAttributes(reader.inside(unsigned)).map(({ type }) => type),
  };
}

function readSignedAttributes(reader: DerReader, value: DerValue): SignedAttributes {
  const attributes = readAttributes(reader.inside(value));
  const contentType = onlyValue(reader, attributes, OID.contentType, "contentType");
  const messageDigest = onlyValue(reader, attributes, OID.messageDigest, "messageDigest");
  const signingTime = onlyValue(reader, attributes, OID.signingTime, "signingTime");
  if (contentType === null || messageDigest === null) {
    throw reader.error(`the signed attribute ${contentType === null ? "contentType" : "messageDigest"} is missing`);
  }
  return {
    // They are [0] IMPLICIT in the message, but signed under their own tag.
    encoded: encodeValue(TAG.set, value.content),
    contentType: contentType.objectIdentifier("contentType"),
    messageDigest: messageDigest.value(TAG.octetString, "messageDigest").content,
    signingTime: signingTime?.time("signingTime") ?? null,
  };
}

/** A reader for the one value of an attribute that may not come twice (RFC 5652 11); null when it is not there. */
function onlyValue(
  reader: DerReader,
  attributes: readonly EncodedAttribute[],
  type: string,
  what: string,
): DerReader | null {
  const [attribute, second] = attributes.filter((candidate) => candidate.type === type);
  if (attribute === undefined) return null;
  const values = reader.inside(attribute.values);
  const value = values.any(what);
  if (second !== undefined || !values.atEnd) throw reader.error(`the signed attribute ${what} has several values`);
  return new DerReader(value.encoded, reader.subject);
}

interface EncodedAttribute {
  readonly type: string;
  /** SET of values. */
  readonly values: DerValue;
}

function readAttributes(reader: DerReader): EncodedAttribute[] {
  const attributes: EncodedAttribute[] = [];
  while (!reader.atEnd) {
    const attribute = reader.enter("attribute");
    const type = attribute.objectIdentifier("type of an attribute");
    const values = attribute.value(TAG.set, "values of an attribute");
    attribute.end("attribute");
    attributes.push({ type, values });
  }
  return attributes;
}
