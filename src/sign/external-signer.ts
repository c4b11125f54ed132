/**
 * Signers whose private key is elsewhere: in a token, in another program, on another machine. Their
 * answers are verified.
 */
import { createHash, verify } from "node:crypto";
import { SealError } from "../errors.ts";
import { type ParsedCertificate, publicKeyOf } from "./certificate.ts";
import { refuseUnusableKey } from "./rsa-signer.ts";
import type { Signer } from "./signer.ts";

/** What has the key. */
export interface RawSigner {
  /** What the user knows it by, for messages: a command, a URI, a file with a signature. */
  readonly subject: string;
  /** What a wrong answer is: `external` of a program or token, `input` of a file. */
  readonly fault: "external" | "input";
  /** What to do about a signature that does not fit; ends the message. */
  readonly advice: string;
  /** What `sign` takes: the data that shall be signed, or their SHA-256 (32 bytes). */
  readonly input: "data" | "digest";
  /** The raw RSA PKCS#1 v1.5 signature with SHA-256 that {@link Signer.sign} promises; nothing is taken for granted. */
  readonly sign: (input: Uint8Array) => Promise<Uint8Array>;
}

/**
 * A signer that returns what `raw` answers only if it verifies with the certificate.
 * @param chain certificates that go into signatures in addition to the signer's own
 * @throws SealError `input` when firmware does not accept the certificate's kind of key
 */
export function createExternalSigner(
  raw: RawSigner,
  certificate: ParsedCertificate,
  chain: readonly ParsedCertificate[] = [],
): Signer {
  const key = publicKeyOf(certificate);
  refuseUnusableKey(key, certificate.label);
  const modulusBytes = (key.asymmetricKeyDetails?.modulusLength ?? 0) / 8;
  const problem = (data: Uint8Array, signature: Uint8Array): string | null => {
    if (signature.length !== modulusBytes) {
      return `gave ${signature.length} bytes; a raw signature for ${certificate.label} has ${modulusBytes}`;
    }
    return verify("sha256", data, key, signature) ? null : `the signature does not verify with ${certificate.label}`;
  };
  return {
    certificate,
    chain,
    sign: async (data) => {
      const signature = await raw.sign(raw.input === "digest" ? createHash("sha256").update(data).digest() : data);
      const reason = problem(data, signature);
      if (reason === null) return signature;
      throw new SealError(raw.fault, `${raw.subject}: ${reason}. ${raw.advice}`);
    },
  };
}
