/** Signatures in the form of pesign up to 0.112, whose SpcIndirectData names a purpose of keys where the type of an image belongs. */
import { encodeAttributes } from "../../src/sign/attributes.ts";
import { setOf } from "../../src/sign/der.ts";
import { encodeIndirectData } from "../../src/sign/indirect-data.ts";
import { OID } from "../../src/sign/oids.ts";

/** What it lets a key sign: contentType and messageDigest as a SET. @param digest SHA-256 Authenticode hash of the image */
export function oldPesignAttributes(digest: Uint8Array): Uint8Array {
  const content = encodeIndirectData(digest, "empty", "key purpose");
  return setOf(...encodeAttributes({ contentType: OID.spcIndirectData, signedOctets: content.subarray(2) }, []));
}
