/** Who signs: a key file, a token, a program. The key itself never shows. */

import type { ParsedCertificate } from "./certificate.ts";

/** Signs with the key of one certificate. */
export interface Signer {
  /** The certificate whose public key verifies the signatures. */
  readonly certificate: ParsedCertificate;
  /** Further certificates that go into a signature, issuer after issued. */
  readonly chain: readonly ParsedCertificate[];
  /**
   * Signs `data` with RSA PKCS#1 v1.5 and SHA-256.
   * @returns the raw signature, as long as the modulus, big endian
   * @throws SealError `external` when the token or program fails
   */
  sign(data: Uint8Array): Promise<Uint8Array>;
}
