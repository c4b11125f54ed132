/**
 * Signatures in the form of pesign up to 0.112, whose SpcIndirectData names a purpose of keys where the type
 * of an image belongs.
 */
import { concat } from "../../src/chunks.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { PePass } from "../../src/pe/pe-pass.ts";
import { encodeAttributes } from "../../src/sign/attributes.ts";
import { attachEntry } from "../../src/sign/authenticode.ts";
import { setOf } from "../../src/sign/der.ts";
import { encodeIndirectData } from "../../src/sign/indirect-data.ts";
import { OID } from "../../src/sign/oids.ts";
import { messageOfAttributes, signMessage } from "../../src/sign/pe-message.ts";
import { type VectorKey, vectorSigner } from "./signing.ts";

/**
 * What it lets a key sign: contentType and messageDigest as a SET.
 * @param digest SHA-256 Authenticode hash of the image
 */
export function oldPesignAttributes(digest: Uint8Array): Uint8Array {
  const content = encodeIndirectData(digest, "empty", "key purpose");
  return setOf(...encodeAttributes({ contentType: OID.spcIndirectData, signedOctets: content.subarray(2) }, []));
}

/** A program with such a signature. */
export async function signLikeOldPesign(file: Uint8Array, key: VectorKey = "signer"): Promise<Uint8Array> {
  const image = new PePass(parsePe([file], "x.efi"), "sign");
  const digest = image.hash("sha256");
  const message = messageOfAttributes(oldPesignAttributes(digest), digest, "attributes");
  return concat(attachEntry(image, await signMessage(message, vectorSigner(key)), false).file);
}
