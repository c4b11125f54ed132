/**
 * Writes PKCS#7 SignedData (RFC 2315 9, the version that firmware reads; for these fields the same as RFC 5652) with
 * one signer: RSA PKCS#1 v1.5, SHA-256. Authenticode puts its own content into it, signed UEFI variable updates none.
 */
import { algorithm } from "./algorithms.ts";
import { type Attribute, encodeAttributes, type SignedContent } from "./attributes.ts";
import { context, integer, objectIdentifier, octetString, sequence, setOf } from "./der.ts";
import { OID } from "./oids.ts";
import type { Signer } from "./signer.ts";

/** What is signed, and in which form. */
export interface SignedDataInput extends SignedContent {
  /** DER of the content that goes into the result; null for a detached signature. */
  readonly content: Uint8Array | null;
  /**
   * Further signed attributes besides contentType and messageDigest, which are added; the signature is then over all of
   * them. Null: no attributes at all, the signature is over `signedOctets` themselves.
   */
  readonly attributes: readonly Attribute[] | null;
  readonly signer: Signer;
}

/**
 * Signs.
 * @returns DER of SignedData itself, as signed UEFI variables hold it; {@link contentInfo} wraps it for everyone else
 * @throws SealError when the signer fails
 */
export async function signedData(input: SignedDataInput): Promise<Uint8Array> {
  const { signer } = input;
  const attributes = input.attributes === null ? null : encodeAttributes(input, input.attributes);
  // The signature is over the attributes as a SET, the message holds them as [0] (RFC 2315 9.3).
  const toSign = attributes === null ? input.signedOctets : setOf(...attributes);
  const signature = await signer.sign(toSign);
  const { certificate, chain } = signer;
  const signerInfo = sequence(
    integer(1),
    sequence(certificate.issuer, certificate.serialNumber),
    algorithm(OID.sha256),
    ...(attributes === null ? [] : [context(0, ...attributes)]),
    algorithm(OID.rsaEncryption),
    octetString(signature),
  );
  return sequence(
    integer(1),
    setOf(algorithm(OID.sha256)),
    encapsulated(input),
    context(0, certificate.der, ...chain.map((issuer) => issuer.der)),
    setOf(signerInfo),
  );
}

/** DER of unsigned SignedData: the content alone, neither certificates nor signers. */
export function unsignedData(input: Pick<SignedDataInput, "contentType" | "content">): Uint8Array {
  return sequence(integer(1), setOf(), encapsulated(input), setOf());
}

function encapsulated({ contentType, content }: Pick<SignedDataInput, "contentType" | "content">): Uint8Array {
  return sequence(objectIdentifier(contentType), ...(content === null ? [] : [context(0, content)]));
}

/** SignedData as a ContentInfo, the outermost form of PKCS#7 files and of Authenticode. */
export function contentInfo(encodedSignedData: Uint8Array): Uint8Array {
  return sequence(objectIdentifier(OID.signedData), context(0, encodedSignedData));
}
