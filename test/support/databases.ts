/** Signature lists of test certificates and hashes, for databases of firmware. */
import { createHash } from "node:crypto";
import { concat } from "../../src/chunks.ts";
import { AUTHENTIHASH_ALGORITHMS, type AuthentihashAlgorithm } from "../../src/pe/authentihash.ts";
import { type Guid, knownGuid } from "../../src/sign/guid.ts";
import { certificateList, encodeSignatureLists } from "../../src/sign/siglist.ts";
import { type VectorKey, vectorCertificate } from "./signing.ts";
import { vector } from "./vectors.ts";

export const OWNER = knownGuid("11111111-2222-3333-4444-123456789abc");

/** GUIDs of the specification, by algorithm. */
export const CERTIFICATE_HASH_TYPES = {
  sha256: knownGuid("3bd2a492-96c0-4079-b420-fcf98ef103ed"),
  sha384: knownGuid("7076876e-80c2-4ee6-aad2-28b349a6865b"),
  sha512: knownGuid("446dbf63-2502-4cda-bcfa-2465d2b0fe9d"),
} as const;
export const IMAGE_HASH_TYPES: Readonly<Record<AuthentihashAlgorithm, Guid>> = {
  sha1: knownGuid("826ca512-cf10-4ac9-b187-be01496631bd"),
  sha256: knownGuid("c1c41626-504c-4092-aca9-41f936934328"),
  sha384: knownGuid("ff3e5307-9fd0-48c9-85f1-8ad56c701e01"),
  sha512: knownGuid("093e0fae-a6c4-4f50-9f1b-d41e2b89c19a"),
};
export const ALGORITHMS = AUTHENTIHASH_ALGORITHMS;

/** Lists with the certificates of these keys. */
export function certificateEsl(...names: readonly VectorKey[]): Uint8Array {
  return encodeSignatureLists(names.map((name) => certificateList(OWNER, vectorCertificate(name).der)));
}

/** A list with one entry of any type. */
export function esl(type: Guid, data: Uint8Array): Uint8Array {
  return encodeSignatureLists([{ type, signatures: [{ owner: OWNER, data }] }]);
}

/** A revocation of a certificate by the hash of its TBSCertificate. */
export function certificateHashEsl(
  name: VectorKey,
  algorithm: keyof typeof CERTIFICATE_HASH_TYPES = "sha256",
  time: Uint8Array = new Uint8Array(16),
): Uint8Array {
  const { tbs } = vectorCertificate(name);
  return esl(CERTIFICATE_HASH_TYPES[algorithm], concat([createHash(algorithm).update(tbs).digest(), time]));
}

/**
 * What vendors and old tools ship, one after the other: no entries, an unknown type, a header, and PEM in place of DER.
 */
export const ODD_LISTS = encodeSignatureLists([
  { type: IMAGE_HASH_TYPES.sha256, signatures: [], signatureBytes: 48 },
  { type: knownGuid("99999999-2222-3333-4444-123456789abc"), signatures: [{ owner: OWNER, data: new Uint8Array(5) }] },
  { ...certificateList(OWNER, vectorCertificate("db4096").der), header: new Uint8Array(16) },
  certificateList(OWNER, vector("authenticode/keys/other.crt")),
]);
