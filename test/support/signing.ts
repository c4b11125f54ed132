/** The test keys among the vectors, worthless, as signers. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { AuthentihashAlgorithm } from "../../src/pe/authentihash.ts";
import { type ParsedCertificate, parseCertificate } from "../../src/sign/certificate.ts";
import { createRsaSigner } from "../../src/sign/rsa-signer.ts";
import type { Signer } from "../../src/sign/signer.ts";
import { vector, vectorJson } from "./vectors.ts";

export type VectorKey = "signer" | "db3072" | "db4096" | "ca" | "leaf" | "other" | "ec";

export function vectorCertificate(name: VectorKey): ParsedCertificate {
  const { raw } = new X509Certificate(vector(`authenticode/keys/${name}.crt`));
  return parseCertificate({ der: raw, label: `${name}.crt` });
}

export function vectorSigner(name: VectorKey, chain: readonly VectorKey[] = []): Signer {
  const key = createPrivateKey(vector(`authenticode/keys/${name}.key`));
  return createRsaSigner({ key, label: `${name}.key` }, vectorCertificate(name), chain.map(vectorCertificate));
}

/** `test/vectors/authenticode/vectors.json`; paths in it are relative to its directory. */
export const AUTHENTICODE_VECTORS = vectorJson<{
  hashes: {
    pe: string;
    sha256: string;
    algorithm: AuthentihashAlgorithm;
    /** Null where the file must be refused. */
    authenticode_hash: string | null;
  }[];
  signed: {
    file: string;
    input: string;
    tool: "sbsign" | "systemd-sbsign" | "osslsigncode" | "pesign";
    key: string;
    certificate: string;
    signing_time: string;
    sha256: string;
    sbverify: boolean;
    digest_matches_firmware: boolean;
  }[];
}>("authenticode/vectors.json");
