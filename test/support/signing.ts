/** The test keys among the vectors, worthless, as signers. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { createRsaSigner } from "../../src/sign/rsa-signer.ts";
import type { Certificate, Signer } from "../../src/sign/signer.ts";
import { vector } from "./vectors.ts";

export type VectorKey = "signer" | "db3072" | "db4096" | "ca" | "leaf" | "other" | "ec";

export function vectorCertificate(name: VectorKey): Certificate {
  const { raw } = new X509Certificate(vector(`authenticode/keys/${name}.crt`));
  return { der: raw, label: `${name}.crt` };
}

export function vectorSigner(name: VectorKey, chain: readonly VectorKey[] = []): Signer {
  const key = createPrivateKey(vector(`authenticode/keys/${name}.key`));
  return createRsaSigner({ key, label: `${name}.key` }, vectorCertificate(name), chain.map(vectorCertificate));
}
