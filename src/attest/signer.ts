/**
 * Who signs attestations. These signatures are checked by cosign and similar tools, not by firmware, so the keys may
 * differ from those for Secure Boot: ECDSA on the curves of NIST, and RSA PKCS#1 v1.5. The hash is SHA-256 with all of
 * them, as cosign has it for keys that it is given.
 */
import { createHash, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { inputError, SealError } from "../errors.ts";
import type { RawSigner } from "../sign/external-signer.ts";
import type { LabelledKey } from "../sign/rsa-signer.ts";

/** Signs attestations with one key. */
export interface AttestSigner {
  readonly publicKey: KeyObject;
  /**
   * Signs `data`: ECDSA in DER (RFC 3279 2.2.3), or RSA PKCS#1 v1.5.
   * @throws SealError `external` when a token or program fails
   */
  readonly sign: (data: Uint8Array) => Promise<Uint8Array>;
}

const CURVES: readonly string[] = ["prime256v1", "secp384r1", "secp521r1"];
const RSA_BITS = { min: 2048, max: 8192 };

/**
 * A signer that holds the key in this process.
 * @throws SealError `input` for a key that verifiers would not take
 */
export function keySigner({ key, label }: LabelledKey): AttestSigner {
  checkAttestKey(key, label);
  return { publicKey: createPublicKey(key), sign: async (data) => sign("sha256", data, key) };
}

/**
 * A signer whose key is elsewhere. Its signatures are returned only if they verify.
 * @throws SealError `input` for a key that verifiers would not take
 */
export function externalSigner(raw: RawSigner, { key, label }: LabelledKey): AttestSigner {
  checkAttestKey(key, label);
  return {
    publicKey: key,
    sign: async (data) => {
      const signature = await raw.sign(raw.input === "digest" ? createHash("sha256").update(data).digest() : data);
      if (isSignatureBy(key, data, signature)) return signature;
      throw new SealError(raw.fault, `${raw.subject}: the signature does not verify with ${label}. ${raw.advice}`);
    },
  };
}

/**
 * Checks that a key can sign attestations.
 * @throws SealError `input` for a key that is neither EC nor RSA, or of another size than verifiers take
 */
export function checkAttestKey(key: KeyObject, subject: string): void {
  const { modulusLength = 0, namedCurve = "" } = key.asymmetricKeyDetails ?? {};
  const kind = key.asymmetricKeyType ?? "unknown";
  if (kind === "ec" && CURVES.includes(namedCurve)) return;
  if (kind === "rsa" && modulusLength >= RSA_BITS.min && modulusLength <= RSA_BITS.max) return;
  const what =
    kind === "rsa" ? `an RSA key of ${modulusLength} bits` : `a key of the kind ${[kind, namedCurve].join(" ").trim()}`;
  throw inputError(
    subject,
    `${what}; attestations are signed with P-256, P-384 or P-521, or RSA of ${RSA_BITS.min} to ${RSA_BITS.max} bits`,
  );
}

/** Whether a signature with SHA-256 is valid. Anything that is not a signature is not. */
export function isSignatureBy(key: KeyObject, data: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verify("sha256", data, key, signature);
  } catch {
    return false;
  }
}

/** The hint in a bundle that names the key: base64 of the SHA-256 of SubjectPublicKeyInfo, as cosign writes it. */
export function keyHint(key: KeyObject): string {
  return createHash("sha256")
    .update(key.export({ type: "spki", format: "der" }))
    .digest("base64");
}
