/**
 * Signing in two steps, with the private key on a machine that never sees the file: what is to be signed goes out, a
 * signature comes in and is checked before it becomes part of the file.
 */
import type { NamedBytes } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { authentihash } from "../pe/authentihash.ts";
import type { PeImage } from "../pe/headers.ts";
import { PePass } from "../pe/pe-pass.ts";
import { attachEntry } from "./authenticode.ts";
import type { ParsedCertificate } from "./certificate.ts";
import { DerReader, TAG } from "./der.ts";
import { createExternalSigner } from "./external-signer.ts";
import { attributesToSign, messageOfAttributes, peMessage, signatureRequest, signMessage } from "./pe-message.ts";
import { isPem, parsePem } from "./pem.ts";
import { isSameKey } from "./same-key.ts";
import { readSignature } from "./signature.ts";
import { verifySignature } from "./verify.ts";

/**
 * What the key must sign (RSA PKCS#1 v1.5 with SHA-256) for a PE image: DER of the signed attributes as a SET. The same
 * image and time give the same bytes.
 * @param signingTime null leaves the time out
 * @throws SealError `input` when the image can't be signed
 */
export function exportToBeSigned(pe: PeImage, signingTime: Date | null): Uint8Array {
  return attributesToSign(peMessage(authentihash(pe, "sha256"), signingTime));
}

/**
 * A PKCS#7 message about a PE image without signature, in DER, as `osslsigncode extract-data` makes it and
 * `osslsigncode sign` takes it.
 * @throws SealError `input` when the image can't be signed
 */
export function exportRequest(pe: PeImage): Uint8Array {
  return signatureRequest(peMessage(authentihash(pe, "sha256"), null));
}

/** A raw signature and what it is over. */
export interface RawSignatureInput {
  /** The raw RSA signature, as long as the modulus, big endian. */
  readonly signature: NamedBytes;
  /** What it is over: the exported attributes, or the time that they were exported with. */
  readonly over: { readonly attributes: NamedBytes } | { readonly signingTime: Date | null };
  readonly certificate: ParsedCertificate;
  /** Certificates that go into the signature in addition to the signer's own. */
  readonly chain: readonly ParsedCertificate[];
  readonly append: boolean;
}

/**
 * Puts a raw signature over what {@link exportToBeSigned} or `pesign --export-signed-attributes`
 * wrote into the PE image.
 * @returns the signed image
 * @throws SealError `input` when the attributes are those of another file, or the signature is not by the
 *   certificate's key over them
 */
export async function attachRawSignature(pe: PeImage, input: RawSignatureInput): Promise<PeImage> {
  const pass = new PePass(pe, "sign");
  const digest = pass.hash("sha256");
  const { over, signature, certificate, chain } = input;
  const message =
    "attributes" in over
      ? messageOfAttributes(over.attributes.bytes, digest, over.attributes.subject)
      : peMessage(digest, over.signingTime);
  const raw = {
    subject: signature.subject,
    fault: "input",
    input: "data",
    advice: `It must cover the data exported for ${pe.subject}, with the same signing time`,
    sign: async () => signature.bytes,
  } as const;
  const signed = await signMessage(message, createExternalSigner(raw, certificate, chain));
  checkSignature(pass, signed, signature.subject);
  return attachEntry(pass, signed, input.append);
}

/**
 * @returns who signed
 * @throws SealError `input` when it is not a valid signature of this file
 */
function checkSignature(pass: PePass, der: Uint8Array, subject: string): ParsedCertificate {
  const signature = readSignature(der, subject);
  const problem = verifySignature(signature, (algorithm) => pass.hash(algorithm));
  const { signerCertificate } = signature.message;
  if (problem === null && signerCertificate !== null) return signerCertificate;
  throw inputError(subject, `is not a valid signature of ${pass.pe.subject}: ${problem}`);
}

const PEM_TYPES: readonly string[] = ["PKCS7", "CMS", "AUTHENTICODE SIGNATURE"];

/**
 * Puts a whole signature into the PE image: PKCS#7 in DER or PEM, as `osslsigncode sign`, `sbsign --detached` and
 * `pesign --export-signature` write it.
 * @param signer whose signature it must be; null: anyone's
 * @returns the signed image, and who signed it
 * @throws SealError `input` when it is not a signature of this file, or by another signer
 */
export function attachSignature(
  pe: PeImage,
  { bytes, subject }: NamedBytes,
  { append, signer }: { readonly append: boolean; readonly signer: ParsedCertificate | null },
): { readonly pe: PeImage; readonly certificate: ParsedCertificate } {
  const pass = new PePass(pe, "sign");
  const der = isPem(bytes) ? fromPem(bytes, subject) : bytes;
  const certificate = checkSignature(pass, der, subject);
  if (signer !== null && !isSameKey(signer.x509.publicKey, certificate.x509.publicKey)) {
    throw inputError(subject, `is signed by ${certificate.subjectText}, not by ${signer.label}`);
  }
  // Padding by tools is not part of it; the table adds its own.
  const { encoded } = new DerReader(der, subject).value(TAG.sequence, "ContentInfo");
  return { pe: attachEntry(pass, encoded, append), certificate };
}

function fromPem(bytes: Uint8Array, subject: string): Uint8Array {
  const [block, second] = parsePem(bytes, subject).filter(({ type }) => PEM_TYPES.includes(type));
  if (block === undefined) throw inputError(subject, "is PEM but contains no PKCS#7 message");
  if (second !== undefined) throw inputError(subject, "contains several PKCS#7 messages; give a file with only one");
  return block.der;
}
