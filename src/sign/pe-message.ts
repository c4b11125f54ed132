/**
 * What is said about a PE image in an Authenticode signature, apart from who says it: SpcIndirectDataContent and the
 * signed attributes, which can travel to the machine with the key and back ("Windows Authenticode Portable Executable
 * Signature Format").
 */
import { inputError } from "../errors.ts";
import {
  type Attribute,
  encodeAttributes,
  isAbout,
  readAttributes,
  type SignedContent,
  signingTimeAttribute,
} from "./attributes.ts";
import { integer, objectIdentifier, sequence, setOf } from "./der.ts";
import { encodeIndirectData } from "./indirect-data.ts";
import { OID } from "./oids.ts";
import { contentInfo, signedData, unsignedData } from "./pkcs7.ts";
import type { Signer } from "./signer.ts";

/** A message about an image that awaits its signature. */
export interface PeMessage extends SignedContent {
  /** DER of SpcIndirectDataContent. */
  readonly content: Uint8Array;
  /** Signed attributes besides contentType and messageDigest. */
  readonly attributes: readonly Attribute[];
}

/**
 * The message that seal writes: equal to that of sbsign.
 * @param digest SHA-256 Authenticode hash of the image
 * @param signingTime null leaves the time out
 */
export function peMessage(digest: Uint8Array, signingTime: Date | null): PeMessage {
  const attributes = [...(signingTime === null ? [] : [signingTimeAttribute(signingTime)]), SMIME_CAPABILITIES];
  return { ...imageContent(encodeIndirectData(digest)), attributes };
}

/** What the signature is over: DER of the signed attributes as a SET. */
export function attributesToSign(message: PeMessage): Uint8Array {
  return setOf(...encodeAttributes(message, message.attributes));
}

/**
 * The message that exported attributes belong to: those of {@link attributesToSign}, or of
 * `pesign --export-signed-attributes`, which leaves the image's file name empty and in old releases names another type.
 * @param digest SHA-256 Authenticode hash of the image
 * @throws SealError `input` when they are malformed or those of another image
 */
export function messageOfAttributes(bytes: Uint8Array, digest: Uint8Array, subject: string): PeMessage {
  const contents = (["image", "key purpose"] as const).flatMap((type) =>
    (["obsolete", "empty"] as const).map((name) => imageContent(encodeIndirectData(digest, name, type))),
  );
  const exported = readAttributes(bytes, subject);
  const content = contents.find((candidate) => isAbout(exported, candidate));
  if (content === undefined) {
    throw inputError(subject, "these attributes are for another file, or another version of it; export them again");
  }
  return { ...content, attributes: exported.further };
}

/** PKCS#7 (ContentInfo, DER) with the signature. */
export async function signMessage(message: PeMessage, signer: Signer): Promise<Uint8Array> {
  return contentInfo(await signedData({ ...message, signer }));
}

/** PKCS#7 (ContentInfo, DER) without any signature, which `osslsigncode sign` adds. */
export function signatureRequest(message: PeMessage): Uint8Array {
  return contentInfo(unsignedData(message));
}

function imageContent(content: Uint8Array): Omit<PeMessage, "attributes"> {
  // The contents are far below 128 bytes: one byte of tag and one of length.
  return { contentType: OID.spcIndirectData, content, signedOctets: content.subarray(2) };
}

/**
 * RFC 8551 2.5.2, with the ciphers that OpenSSL lists when it signs PKCS#7. They mean nothing for an EFI program, but
 * tools that are built on OpenSSL write them, and being equal to those to the byte makes every difference worth a look.
 */
const SMIME_CAPABILITIES: Attribute = {
  type: OID.smimeCapabilities,
  value: sequence(
    capability("2.16.840.1.101.3.4.1.42"),
    capability("2.16.840.1.101.3.4.1.22"),
    capability("2.16.840.1.101.3.4.1.2"),
    capability("1.2.840.113549.3.7"),
    capability("1.2.840.113549.3.2", 128),
    capability("1.2.840.113549.3.2", 64),
    capability("1.3.14.3.2.7"),
    capability("1.2.840.113549.3.2", 40),
  ),
};

function capability(oid: string, keyBits?: number): Uint8Array {
  return sequence(objectIdentifier(oid), ...(keyBits === undefined ? [] : [integer(keyBits)]));
}
