/**
 * Reads an Authenticode signature: PKCS#7 SignedData (RFC 2315 9) around SpcIndirectDataContent, as sbsign,
 * systemd-sbsign, osslsigncode, pesign and signtool write it. Only reads; `verify.ts` judges.
 */
import { equalBytes } from "../bytes.ts";
import { readAlgorithm } from "./algorithms.ts";
import { type ParsedCertificate, parseCertificate } from "./certificate.ts";
import { contextTag, DerReader, type DerValue, encodeValue, TAG } from "./der.ts";
import { type IndirectData, readIndirectData } from "./indirect-data.ts";
import { OID } from "./oids.ts";

export interface Signature {
  /** Digest algorithm of SignedData, by object identifier. */
  readonly declaredDigestAlgorithm: string;
  readonly content: IndirectData;
  /** Content octets of SpcIndirectDataContent: what messageDigest is the hash of. */
  readonly signedOctets: Uint8Array;
  readonly certificates: readonly ParsedCertificate[];
  /** The included certificate that the signer's issuer and serial number name; null when it is not there. */
  readonly signerCertificate: ParsedCertificate | null;
  readonly digestAlgorithm: string;
  readonly signatureAlgorithm: string;
  /** DER of the signed attributes as a SET: what the raw signature is over. */
  readonly signedAttributes: Uint8Array;
  readonly contentType: string;
  readonly messageDigest: Uint8Array;
  readonly signingTime: Date | null;
  readonly rawSignature: Uint8Array;
  /** Object identifiers of the attributes that nothing protects: time stamps, nested signatures. */
  readonly unsignedAttributes: readonly string[];
}

/** Signatures come with a handful of certificates; building paths through very many would take long. */
const MAX_CERTIFICATES = 32;
/** Zeros that tools add behind the DER so that the table's entry ends at a multiple of 8. */
const MAX_PADDING = 7;

/**
 * @param bytes ContentInfo in DER, with up to 7 zeros behind it
 * @param subject names the signature in errors
 * @throws SealError `input` for everything that is no Authenticode signature with one signer
 */
export function readSignature(bytes: Uint8Array, subject: string): Signature {
  const outer = new DerReader(bytes, subject);
  const info = outer.value(TAG.sequence, "ContentInfo");
  const padding = bytes.subarray(info.encoded.length);
  if (padding.length > MAX_PADDING || padding.some((byte) => byte !== 0)) {
    throw outer.error("unexpected data behind the signature");
  }
  const contentInfo = outer.inside(info);
  const type = contentInfo.objectIdentifier("type of the PKCS#7 message");
  if (type !== OID.signedData) throw outer.error(`no signed PKCS#7 message (type ${type})`);
  const explicit = contentInfo.enter("SignedData", contextTag(0));
  contentInfo.end("ContentInfo");
  const signedData = explicit.enter("SignedData");
  explicit.end("SignedData");
  return readSignedData(signedData, subject);
}

function readSignedData(reader: DerReader, subject: string): Signature {
  const version = reader.smallInteger("version of SignedData");
  if (version !== 1) throw reader.error(`SignedData has version ${version}, Authenticode has 1`);
  const digestAlgorithms = reader.enter("digestAlgorithms", TAG.set);
  const declaredDigestAlgorithm = readAlgorithm(digestAlgorithms, "digest algorithm");
  digestAlgorithms.end("digestAlgorithms: one is wanted");
  const { content, signedOctets } = readContent(reader.enter("content"));
  const certificates = readCertificates(reader, subject);
  reader.optional(contextTag(1), "crls");
  const signerInfos = reader.enter("signerInfos", TAG.set);
  reader.end("SignedData");
  const signer = signerInfos.enter("SignerInfo");
  signerInfos.end("signerInfos: one signer is wanted");
  return { declaredDigestAlgorithm, content, signedOctets, certificates, ...readSignerInfo(signer, certificates) };
}

function readContent(reader: DerReader): Pick<Signature, "content" | "signedOctets"> {
  const type = reader.objectIdentifier("type of the content");
  if (type !== OID.spcIndirectData) throw reader.error(`no Authenticode content (type ${type})`);
  const explicit = reader.enter("SpcIndirectDataContent", contextTag(0));
  reader.end("the content");
  const value = explicit.value(TAG.sequence, "SpcIndirectDataContent");
  explicit.end("the content");
  return { content: readIndirectData(explicit.inside(value)), signedOctets: value.content };
}

function readCertificates(reader: DerReader, subject: string): ParsedCertificate[] {
  const value = reader.optional(contextTag(0), "certificates");
  if (value === null) return [];
  const list = reader.inside(value);
  const certificates: ParsedCertificate[] = [];
  while (!list.atEnd) {
    if (certificates.length === MAX_CERTIFICATES) throw reader.error(`more than ${MAX_CERTIFICATES} certificates`);
    const { encoded } = list.value(TAG.sequence, "certificate");
    certificates.push(parseCertificate({ der: encoded, label: `${subject}: certificate ${certificates.length + 1}` }));
  }
  return certificates;
}

type SignerInfo = Omit<Signature, "declaredDigestAlgorithm" | "content" | "signedOctets" | "certificates">;

function readSignerInfo(reader: DerReader, certificates: readonly ParsedCertificate[]): SignerInfo {
  const version = reader.smallInteger("version of SignerInfo");
  if (version !== 1) throw reader.error(`SignerInfo has version ${version}, Authenticode has 1`);
  const identifier = reader.enter("issuerAndSerialNumber");
  const issuer = identifier.value(TAG.sequence, "issuer").encoded;
  const serialNumber = identifier.integer("serialNumber").encoded;
  identifier.end("issuerAndSerialNumber");
  const digestAlgorithm = readAlgorithm(reader, "digest algorithm of the signer");
  const attributes = reader.value(contextTag(0), "signed attributes");
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
    // They are [0] IMPLICIT in the message, but signed under their own tag.
    signedAttributes: encodeValue(TAG.set, attributes.content),
    ...readSignedAttributes(reader.inside(attributes)),
    rawSignature,
    unsignedAttributes: unsigned === null ? [] : readAttributes(reader.inside(unsigned)).map(({ type }) => type),
  };
}

function readSignedAttributes(reader: DerReader): Pick<Signature, "contentType" | "messageDigest" | "signingTime"> {
  const attributes = readAttributes(reader);
  const contentType = onlyValue(reader, attributes, OID.contentType, "contentType");
  const messageDigest = onlyValue(reader, attributes, OID.messageDigest, "messageDigest");
  const signingTime = onlyValue(reader, attributes, OID.signingTime, "signingTime");
  if (contentType === null || messageDigest === null) {
    throw reader.error(`the signed attribute ${contentType === null ? "contentType" : "messageDigest"} is missing`);
  }
  return {
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
