/**
 * Reads an Authenticode signature: PKCS#7 SignedData around SpcIndirectDataContent, as sbsign, systemd-sbsign,
 * osslsigncode, pesign and signtool write it. Only reads; `verify.ts` judges.
 */
import type { ParsedCertificate } from "./certificate.ts";
import { DerReader, TAG } from "./der.ts";
import { type IndirectData, readIndirectData } from "./indirect-data.ts";
import { OID } from "./oids.ts";
import { readContentInfo, type SignedMessage } from "./signed-data.ts";

export interface Signature {
  readonly message: SignedMessage;
  /** What the message says about the image. */
  readonly image: IndirectData;
  /** Content octets of SpcIndirectDataContent: what messageDigest is the hash of. */
  readonly signedOctets: Uint8Array;
}

/** Zeros that tools add after the DER so that the table's entry ends at a multiple of 8. */
const MAX_PADDING = 7;

/**
 * @param bytes ContentInfo in DER, followed by up to 7 zeros
 * @param subject names the signature in errors
 * @param known certificates that have been parsed, see {@link readContentInfo}
 * @throws SealError `input` for anything but an Authenticode signature with one signer
 */
export function readSignature(bytes: Uint8Array, subject: string, known: readonly ParsedCertificate[] = []): Signature {
  const outer = new DerReader(bytes, subject);
  const info = outer.value(TAG.sequence, "ContentInfo");
  const padding = bytes.subarray(info.encoded.length);
  if (padding.length > MAX_PADDING || padding.some((byte) => byte !== 0)) {
    throw outer.error("unexpected data after the signature");
  }
  const message = readContentInfo(outer.inside(info), known);
  const { contentType, content } = message;
  if (contentType !== OID.spcIndirectData) throw outer.error(`not Authenticode content (type ${contentType})`);
  if (content?.tag !== TAG.sequence) throw outer.error("SpcIndirectDataContent is missing");
  // Without them the signature would be over bytes that mean something else as attributes.
  if (message.signedAttributes === null) throw outer.error("the signed attributes are missing");
  return { message, image: readIndirectData(outer.inside(content)), signedOctets: content.content };
}
