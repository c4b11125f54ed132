/**
 * Makes the self-signed X.509 certificates (RFC 5280) of Secure Boot keys. The same key, name, times and serial number
 * give the same bytes: RSA PKCS#1 v1.5 signatures have no randomness.
 */
import { createHash, createPublicKey, type KeyObject, sign } from "node:crypto";
import { algorithm } from "./algorithms.ts";
import {
  bitString,
  boolean,
  context,
  DerReader,
  encodeValue,
  integer,
  objectIdentifier,
  octetString,
  primitiveContextTag,
  sequence,
  setOf,
  TAG,
  time,
  utf8String,
} from "./der.ts";
import { OID } from "./oids.ts";

/**
 * What the key is for, and so which extensions its certificate gets. Firmware looks at none of them (EDK II accepts any
 * purpose; sbctl's keys have no extensions at all), but tools and auditors do:
 * - `authority` (PK, KEK): signs variable updates, and may issue certificates that do: a CA, as
 *   `openssl req -x509` makes it.
 * - `code` (db): signs programs and nothing else: with the code signing purpose that Authenticode wants of a signer,
 *   and no CA (as `ukify genkey` makes it), so that whoever gets hold of the key can't issue further ones in its name.
 */
export type CertificatePurpose = "authority" | "code";

export interface SelfSignedInput {
  readonly commonName: string;
  readonly purpose: CertificatePurpose;
  /** Big endian, unsigned, not zero, at most 20 bytes (RFC 5280 4.1.2.2). */
  readonly serialNumber: Uint8Array;
  /** In whole seconds. */
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** RSA; certifies its own public half. */
  readonly privateKey: KeyObject;
}

/** A self-signed certificate, version 3, SHA-256 with RSA. @returns DER */
export function selfSignedCertificate(input: SelfSignedInput): Uint8Array {
  const publicKeyInfo = createPublicKey(input.privateKey).export({ type: "spki", format: "der" });
  const name = sequence(setOf(sequence(objectIdentifier(OID.commonName), utf8String(input.commonName))));
  const signatureAlgorithm = algorithm(OID.sha256WithRsa);
  const tbsCertificate = sequence(
    context(0, integer(2)),
    integer(input.serialNumber),
    signatureAlgorithm,
    name,
    sequence(time(input.notBefore), time(input.notAfter)),
    name,
    publicKeyInfo,
    context(3, sequence(...extensions(input.purpose, keyIdentifier(publicKeyInfo)))),
  );
  const signature = sign("sha256", tbsCertificate, input.privateKey);
  return sequence(tbsCertificate, signatureAlgorithm, bitString(signature));
}

function extensions(purpose: CertificatePurpose, identifier: Uint8Array): Uint8Array[] {
  const identifiers = [
    extension(OID.subjectKeyIdentifier, false, octetString(identifier)),
    extension(OID.authorityKeyIdentifier, false, sequence(encodeValue(primitiveContextTag(0), identifier))),
  ];
  switch (purpose) {
    case "authority":
      return [
        extension(OID.basicConstraints, true, sequence(boolean(true))),
        // digitalSignature (bit 0) and keyCertSign (bit 5); trailing zero bits are left out.
        extension(OID.keyUsage, true, bitString(Uint8Array.of(0x84), 2)),
        ...identifiers,
      ];
    case "code":
      return [
        extension(OID.basicConstraints, true, sequence()),
        // digitalSignature
        extension(OID.keyUsage, true, bitString(Uint8Array.of(0x80), 7)),
        extension(OID.extendedKeyUsage, false, sequence(objectIdentifier(OID.codeSigning))),
        ...identifiers,
      ];
  }
}

function extension(type: string, critical: boolean, value: Uint8Array): Uint8Array {
  return sequence(objectIdentifier(type), ...(critical ? [boolean(true)] : []), octetString(value));
}

/** RFC 5280 4.2.1.2, method 1: SHA-1 of the public key's bits. It is a name, no protection. */
function keyIdentifier(publicKeyInfo: Uint8Array): Uint8Array {
  const fields = new DerReader(publicKeyInfo, "public key").enter("SubjectPublicKeyInfo");
  fields.value(TAG.sequence, "algorithm");
  const { content } = fields.value(TAG.bitString, "subjectPublicKey");
  return createHash("sha1").update(content.subarray(1)).digest();
}
