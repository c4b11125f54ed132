/**
 * The signed attributes of PKCS#7 (RFC 2315 9.2, RFC 5652 5.3 and 11): what a signature is really over. They are
 * written here, and read back from files that went to the machine with the key.
 */
import { createHash } from "node:crypto";
import { equalBytes } from "../bytes.ts";
import { DerReader, encodeValue, objectIdentifier, octetString, sequence, setOf, TAG, time } from "./der.ts";
import { OID } from "./oids.ts";

/** A signed attribute: its type and the DER of its one value. */
export interface Attribute {
  readonly type: string;
  readonly value: Uint8Array;
}

/** What signed attributes are about. */
export interface SignedContent {
  /** Dotted object identifier of the content's type. */
  readonly contentType: string;
  /** The octets that the signature is about: for DER content its value without tag and length. */
  readonly signedOctets: Uint8Array;
}

/** The signingTime attribute, in whole seconds. */
export function signingTimeAttribute(date: Date): Attribute {
  return { type: OID.signingTime, value: time(date) };
}

/**
 * The attributes of a content: contentType and messageDigest (SHA-256), and `further` ones.
 * @returns DER of each, in the order of a SET
 */
export function encodeAttributes(content: SignedContent, further: readonly Attribute[]): Uint8Array[] {
  const digest = createHash("sha256").update(content.signedOctets).digest();
  const all: readonly Attribute[] = [
    { type: OID.contentType, value: objectIdentifier(content.contentType) },
    { type: OID.messageDigest, value: octetString(digest) },
    ...further,
  ];
  const encoded = all.map(({ type, value }) => sequence(objectIdentifier(type), encodeValue(TAG.set, value)));
  return encoded.toSorted(Buffer.compare);
}

/** Attributes that came from a file. */
export interface ReadAttributes {
  /** DER of all as a SET. */
  readonly encoded: Uint8Array;
  /** Those besides contentType and messageDigest. */
  readonly further: readonly Attribute[];
}

/**
 * Reads attributes that were exported for signing.
 * @param bytes DER of them as a SET
 * @throws SealError `input` when they are malformed
 */
export function readAttributes(bytes: Uint8Array, subject: string): ReadAttributes {
  const outer = new DerReader(bytes, subject);
  const list = outer.enter("signed attributes", TAG.set);
  outer.end("the signed attributes");
  const further: Attribute[] = [];
  while (!list.atEnd) {
    const attribute = list.enter("attribute");
    const type = attribute.objectIdentifier("type of an attribute");
    const values = attribute.enter("values of an attribute", TAG.set);
    const value = values.any("value of an attribute").encoded;
    values.end("the values of an attribute: expected exactly one");
    attribute.end("the attribute");
    if (type !== OID.contentType && type !== OID.messageDigest) further.push({ type, value });
  }
  return { encoded: bytes, further };
}

/** Whether attributes are about this content, and encoded as {@link encodeAttributes} does it. */
export function isAbout({ encoded, further }: ReadAttributes, content: SignedContent): boolean {
  return equalBytes(setOf(...encodeAttributes(content, further)), encoded);
}
