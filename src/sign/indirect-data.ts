/**
 * SpcIndirectDataContent, what an Authenticode signature of a PE file signs: "this is an image, and its hash is …"
 * ("Windows Authenticode Portable Executable Signature Format", section "SpcIndirectDataContent").
 */

import { algorithm, readAlgorithm } from "./algorithms.ts";
import {
  bitString,
  context,
  type DerReader,
  encodeValue,
  objectIdentifier,
  octetString,
  primitiveContextTag,
  sequence,
  TAG,
} from "./der.ts";
import { OID } from "./oids.ts";

/** The text that the format wants as the image's file name, in UTF-16, big endian. */
const OBSOLETE = Uint8Array.from(Buffer.from("<<<Obsolete>>>", "utf16le").swap16());

/**
 * What a signature says that it is of: an image (SPC_PE_IMAGE_DATAOBJ), or a purpose of keys, which pesign up to 0.112
 * put there by mistake. Firmware does not look at it; shim, Linux and OpenSSL's users take both.
 */
export type ImageDataType = "image" | "key purpose";
const DATA_TYPES = { image: OID.spcPeImageData, "key purpose": OID.spcIndividualPurpose } as const;

export interface IndirectData {
  readonly type: ImageDataType;
  /** Object identifier of the hash. */
  readonly digestAlgorithm: string;
  /** The Authenticode hash of the image. */
  readonly digest: Uint8Array;
}

/**
 * DER of the content for an image.
 * @param digest its Authenticode hash, SHA-256
 * @param name the image's file name: the text that the format wants, as most tools write it, or none, as pesign does
 * @param type what seal and all tools of today write, or the one of old pesign
 */
export function encodeIndirectData(
  digest: Uint8Array,
  name: "obsolete" | "empty" = "obsolete",
  type: ImageDataType = "image",
): Uint8Array {
  // SpcPeImageData: no flags, and as file an SpcLink [2] to an SpcString [0] in UCS-2.
  const fileName = context(
    0,
    context(2, encodeValue(primitiveContextTag(0), name === "obsolete" ? OBSOLETE : new Uint8Array())),
  );
  const imageData = sequence(objectIdentifier(DATA_TYPES[type]), sequence(bitString(new Uint8Array()), fileName));
  return sequence(imageData, sequence(algorithm(OID.sha256), octetString(digest)));
}

/**
 * Reads the content octets of the SEQUENCE. What the image data say beyond their type (flags, links, page hashes)
 * has no bearing on the hash and is skipped.
 * @throws SealError `input` when it is anything else, signed data of a script or of a cabinet file for instance
 */
export function readIndirectData(reader: DerReader): IndirectData {
  const data = reader.enter("SpcAttributeTypeAndOptionalValue");
  const oid = data.objectIdentifier("the type of what is signed");
  const type = (["image", "key purpose"] as const).find((one) => DATA_TYPES[one] === oid);
  if (type === undefined) throw reader.error(`it does not sign a PE image (type ${oid})`);
  if (!data.atEnd) data.value(TAG.sequence, "SpcPeImageData");
  data.end("SpcAttributeTypeAndOptionalValue");
  const digestInfo = reader.enter("DigestInfo");
  const digestAlgorithm = readAlgorithm(digestInfo, "digest algorithm of the image");
  const digest = digestInfo.value(TAG.octetString, "digest of the image").content;
  digestInfo.end("DigestInfo");
  reader.end("SpcIndirectDataContent");
  return { type, digestAlgorithm, digest };
}
