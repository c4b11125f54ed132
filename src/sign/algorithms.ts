/** Algorithm identifiers (RFC 5280 4.1.1.2) and what they mean. */
import type { AuthentihashAlgorithm } from "../pe/authentihash.ts";
import { type DerReader, nullValue, objectIdentifier, sequence, TAG } from "./der.ts";
import { OID } from "./oids.ts";

/** AlgorithmIdentifier with NULL parameters, as all signing tools write it. */
export function algorithm(oid: string): Uint8Array {
  return sequence(objectIdentifier(oid), nullValue());
}

/**
 * Reads an AlgorithmIdentifier whose parameters are NULL or absent, as they are for every algorithm accepted here.
 * @returns the object identifier
 */
export function readAlgorithm(reader: DerReader, what: string): string {
  const fields = reader.enter(what);
  const oid = fields.objectIdentifier(what);
  // Other algorithms (RSASSA-PSS, ECDSA by some tools) have parameters of their own; the caller refuses them by name.
  if (!fields.atEnd) {
    const { tag, content } = fields.any(`parameters of ${what}`);
    if (isKnown(oid) && (tag !== TAG.null || content.length > 0))
      throw reader.error(`${what} has unexpected parameters`);
  }
  fields.end(what);
  return oid;
}

const DIGESTS: Readonly<Record<string, AuthentihashAlgorithm>> = {
  [OID.sha1]: "sha1",
  [OID.sha256]: "sha256",
  [OID.sha384]: "sha384",
  [OID.sha512]: "sha512",
};

/** The hash that an object identifier names; null for others. */
export function digestAlgorithmOf(oid: string): AuthentihashAlgorithm | null {
  return DIGESTS[oid] ?? null;
}

/**
 * RSA PKCS#1 v1.5: the plain identifier of PKCS#7, and those of PKCS#1 that name a hash, which must be the one used.
 */
const RSA_SIGNATURES: Readonly<Record<string, AuthentihashAlgorithm | "any">> = {
  [OID.rsaEncryption]: "any",
  "1.2.840.113549.1.1.11": "sha256",
  "1.2.840.113549.1.1.12": "sha384",
  "1.2.840.113549.1.1.13": "sha512",
};

/** Whether a signature algorithm is RSA PKCS#1 v1.5 with this hash. */
export function isRsaSignature(oid: string, digest: AuthentihashAlgorithm): boolean {
  const wanted = RSA_SIGNATURES[oid];
  return wanted === "any" || wanted === digest;
}

function isKnown(oid: string): boolean {
  return digestAlgorithmOf(oid) !== null || oid in RSA_SIGNATURES;
}

const NAMES: Readonly<Record<string, string>> = {
  "1.2.840.113549.1.1.10": "RSASSA-PSS",
  "1.2.840.113549.2.5": "MD5",
  "1.2.840.10045.2.1": "ECDSA",
  "1.2.840.10045.4.3.1": "ECDSA with SHA-224",
  "1.2.840.10045.4.3.2": "ECDSA with SHA-256",
  "1.2.840.10045.4.3.3": "ECDSA with SHA-384",
  "1.2.840.10045.4.3.4": "ECDSA with SHA-512",
};

/** An algorithm in words: `SHA-256`, `ECDSA with SHA-256`; the object identifier when it has no name here. */
export function algorithmName(oid: string): string {
  const digest = digestAlgorithmOf(oid);
  return digest === null ? (NAMES[oid] ?? oid) : digest.replace("sha", "SHA-");
}
