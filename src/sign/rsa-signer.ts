/** A signer that holds an RSA private key in this process. */
import { createPublicKey, type KeyObject, sign } from "node:crypto";
import { inputError, SealError } from "../errors.ts";
import { type Certificate, type ParsedCertificate, publicKeyOf } from "./certificate.ts";
import { isSameKey } from "./same-key.ts";
import type { Signer } from "./signer.ts";

/** Moduli that firmware is known to accept and that are still secure. */
const RSA_BITS: readonly number[] = [2048, 3072, 4096];

/** A private key and what its user knows it by, for messages: a path. */
export interface LabelledKey {
  readonly key: KeyObject;
  readonly label: string;
}

/** A private key and the certificates in the same file. */
export interface KeyFile {
  readonly privateKey: LabelledKey;
  /** Unparsed: often others are used with the key, and then these are not needed. */
  readonly certificates: readonly Certificate[];
}

/**
 * Ties a private key to the one of several certificates that was issued for it; the others become the chain.
 * @param certificates at least one; when none fits, the first is named
 * @throws SealError as {@link createRsaSigner}
 */
export function createSignerFrom(
  privateKey: LabelledKey,
  certificates: readonly [ParsedCertificate, ...ParsedCertificate[]],
  chain: readonly ParsedCertificate[],
): Signer {
  const publicKey = createPublicKey(privateKey.key);
  const own = certificates.find((certificate) => isSameKey(publicKey, publicKeyOf(certificate))) ?? certificates[0];
  return createRsaSigner(privateKey, own, [...certificates.filter((certificate) => certificate !== own), ...chain]);
}

/**
 * Ties a private key to its certificate.
 * @param chain certificates that go into signatures in addition to the signer's own
 * @throws SealError `input` when the key is not RSA of 2048, 3072 or 4096 bits, or the certificate is for another key
 */
export function createRsaSigner(
  privateKey: LabelledKey,
  certificate: ParsedCertificate,
  chain: readonly ParsedCertificate[] = [],
): Signer {
  const { key, label } = privateKey;
  refuseUnusableKey(key, label);
  if (!isSameKey(createPublicKey(key), publicKeyOf(certificate))) {
    throw new SealError(
      "input",
      `${certificate.label} does not belong to ${label} (public keys differ). Give the certificate issued for this key.`,
    );
  }
  return {
    certificate,
    chain,
    // PKCS#1 v1.5 is what node does with RSA keys; deterministic.
    sign: async (data) => sign("sha256", data, key),
  };
}

/** Why no firmware could accept signatures by this key; null when it can. */
function keyProblem(key: KeyObject): string | null {
  if (key.asymmetricKeyType !== "rsa") {
    const kind = (key.asymmetricKeyType ?? "unknown").toUpperCase();
    return `${kind} keys are refused by Secure Boot firmware; only RSA with 2048, 3072 or 4096 bits is accepted`;
  }
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (RSA_BITS.includes(bits)) return null;
  return `an RSA key of ${bits} bits; Secure Boot firmware accepts 2048, 3072 or 4096`;
}

/**
 * Refuses public and private keys whose signatures no firmware would accept.
 * @param subject names the key or its certificate in the message
 * @throws SealError `input`
 */
export function refuseUnusableKey(key: KeyObject, subject: string): void {
  const problem = keyProblem(key);
  if (problem !== null) throw inputError(subject, `${problem}. Make one with: seal keys generate`);
}
