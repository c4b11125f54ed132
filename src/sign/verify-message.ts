/**
 * Checks PKCS#7 messages in themselves: whether the included signer signed these octets in a way that firmware accepts.
 */
import { createHash, verify } from "node:crypto";
import { equalBytes } from "../bytes.ts";
import type { AuthentihashAlgorithm } from "../pe/authentihash.ts";
import { algorithmName, digestAlgorithmOf, isRsaSignature } from "./algorithms.ts";
import { keyName, type ParsedCertificate, publicKeyOf } from "./certificate.ts";
import { OID } from "./oids.ts";
import type { SignedMessage } from "./signed-data.ts";

/** RSA keys below this are broken or nearly so. */
const MIN_RSA_BITS = 2048;

/**
 * Whether SHA-1 and short RSA keys make a signature worthless. Firmware accepts them, so what they sign
 * may still be forbidden.
 */
export type Weakness = "refused" | "accepted";

/**
 * Checks a message in itself, whoever made it.
 * @param octets what it should be a signature of
 * @returns why it is invalid; null when it is valid
 */
export function verifyMessage(
  message: SignedMessage,
  octets: Uint8Array,
  weakness: Weakness = "refused",
): string | null {
  const { signedAttributes, signerCertificate, digestAlgorithm, signatureAlgorithm } = message;
  const disagreement = digestDisagreement([message.declaredDigestAlgorithm, digestAlgorithm]);
  if (disagreement !== null) return disagreement;
  const digest = digestAlgorithmOf(digestAlgorithm);
  if (digest === null) return `its digest algorithm ${algorithmName(digestAlgorithm)} is not supported`;
  if (digest === "sha1" && weakness === "refused") return "it uses SHA-1, which is broken. Sign again with SHA-256";
  if (!isRsaSignature(signatureAlgorithm, digest)) {
    return `its signature algorithm ${algorithmName(signatureAlgorithm)} is not accepted by firmware; only RSA (PKCS#1 v1.5) is`;
  }
  if (signedAttributes !== null) {
    if (!isContentType(signedAttributes.contentType, message.contentType))
      return "its contentType attribute contradicts its content";
    if (!equalBytes(createHash(digest).update(octets).digest(), signedAttributes.messageDigest)) {
      return "its messageDigest attribute is not the hash of its content";
    }
  }
  if (signerCertificate === null) return "the signer's certificate is not included";
  const bits = publicKeyOf(signerCertificate).asymmetricKeyDetails?.modulusLength ?? MIN_RSA_BITS;
  if (bits < MIN_RSA_BITS && weakness === "refused") return `its RSA key of ${bits} bits is too short to be secure`;
  return verifyRaw(message, signedAttributes?.encoded ?? octets, signerCertificate, digest);
}

/**
 * Whether the contentType attribute is that of the content (RFC 5652 11.1). osslsigncode 2.9 calls it a certificate
 * trust list when it signs a request that was made elsewhere; firmware looks at the attribute not at all.
 */
function isContentType(attribute: string, contentType: string): boolean {
  return attribute === contentType || (contentType === OID.spcIndirectData && attribute === OID.certificateTrustList);
}

/**
 * Why a message that names these digest algorithms, by object identifier, is invalid; null when they are all the same.
 */
export function digestDisagreement(algorithms: readonly string[]): string | null {
  const different = [...new Set(algorithms)];
  if (different.length === 1) return null;
  return `it names different digest algorithms (${different.map(algorithmName).join(", ")})`;
}

function verifyRaw(
  { rawSignature }: SignedMessage,
  octets: Uint8Array,
  certificate: ParsedCertificate,
  digest: AuthentihashAlgorithm,
): string | null {
  const key = publicKeyOf(certificate);
  if (key.asymmetricKeyType !== "rsa")
    return `its key (${keyName(certificate)}) is not accepted by firmware; only RSA is`;
  return verify(digest, octets, key, rawSignature)
    ? null
    : "the signature does not verify with the signer's certificate";
}
