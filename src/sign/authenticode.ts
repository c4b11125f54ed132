/**
 * Signs PE files: "Windows Authenticode Portable Executable Signature Format", in the form that sbsign and
 * systemd-sbsign write and all firmware is used to.
 */
import { alignUp, type Chunks, concat, readRange } from "../bytes.ts";
import { inputError, SealError } from "../errors.ts";
import { hasSectionGaps, securityDirectory } from "../pe/authentihash.ts";
import {
  CERTIFICATE_ALIGNMENT,
  encodeCertificateTable,
  imageEnd,
  readCertificateTable,
  WIN_CERTIFICATE_TYPE,
} from "../pe/certtable.ts";
import { peChecksum } from "../pe/checksum.ts";
import { type PeImage, parsePe } from "../pe/headers.ts";
import { ImagePass } from "../pe/image-pass.ts";
import { integer, objectIdentifier, sequence } from "./der.ts";
import { encodeIndirectData } from "./indirect-data.ts";
import { OID } from "./oids.ts";
import { type Attribute, contentInfo, signedData, signingTimeAttribute } from "./pkcs7.ts";
import { readSignature } from "./signature.ts";
import type { Signer } from "./signer.ts";
import { verifySignature } from "./verify.ts";

export interface SignOptions {
  /** True: signatures that are there stay, the new one comes last. False: they are replaced. */
  readonly append: boolean;
  /** What the signature says about when it was made; null leaves it out. */
  readonly signingTime: Date | null;
}

/**
 * Signs a PE file. The same file, key and time give the same bytes. The new signature has been verified when this returns.
 * @param file the whole file; its first chunk holds all headers
 * @returns the signed file; everything but the headers and the certificate table are views of `file`
 * @throws SealError `input` when the file is no PE image or can't be signed, `external` when the signer's work is no good;
 *   what the signer throws
 */
export async function signPe(file: Chunks, subject: string, signer: Signer, options: SignOptions): Promise<Chunks> {
  return signImage(new ImagePass(parsePe(file, subject), "sign"), signer, options);
}

/** {@link signPe} of an image whose hash may have been computed while it was read. All of it must be there. */
export async function signImage(pass: ImagePass, signer: Signer, options: SignOptions): Promise<Chunks> {
  const { pe } = pass;
  const digest = pass.hash("sha256");
  const kept = options.append ? readCertificateTable(pe) : [];
  const signature = await signDigest(digest, signer, options.signingTime);
  checkSignature(signature, digest, signer);
  // The padding that the table's alignment wants is counted in dwLength: osslsigncode and systemd-sbsign do it so.
  const data = concat([signature, new Uint8Array(alignUp(signature.length, CERTIFICATE_ALIGNMENT) - signature.length)]);
  const table = encodeCertificateTable([...kept, { type: WIN_CERTIFICATE_TYPE.pkcsSignedData, data }]);
  return attachTable(pass, table);
}

/** What a person should know before this image is signed. */
export function signingWarnings(pe: PeImage): string[] {
  if (!hasSectionGaps(pe)) return [];
  return [
    `${pe.subject}: there are bytes between its sections. Firmware does not hash them as other bytes, and osslsigncode computes another hash: it will call the signature invalid`,
  ];
}

/** PKCS#7 (ContentInfo, DER) for an image with this SHA-256 Authenticode hash. */
async function signDigest(digest: Uint8Array, signer: Signer, signingTime: Date | null): Promise<Uint8Array> {
  const content = encodeIndirectData(digest);
  const encoded = await signedData({
    contentType: OID.spcIndirectData,
    content,
    // The contents are far below 128 bytes: one byte of tag and one of length.
    signedOctets: content.subarray(2),
    attributes: [...(signingTime === null ? [] : [signingTimeAttribute(signingTime)]), SMIME_CAPABILITIES],
    signer,
  });
  return contentInfo(encoded);
}

/** The file up to its signatures, padded, with this table behind it; directory entry and checksum say so. */
function attachTable(pass: ImagePass, table: Uint8Array): Chunks {
  const { pe } = pass;
  const end = imageEnd(pe);
  const start = alignUp(end, CERTIFICATE_ALIGNMENT);
  const headers = concat([...readRange(pe.file, 0, pe.sizeOfHeaders)]);
  const view = new DataView(headers.buffer);
  const directory = securityDirectory(pe);
  if (start + table.length > 0xffffffff) throw inputError(pe.subject, "too large to be signed: PE files end at 4 GiB");
  view.setUint32(directory, start, true);
  view.setUint32(directory + 4, table.length, true);
  const file = [headers, ...readRange(pe.file, pe.sizeOfHeaders, end), new Uint8Array(start - end), table];
  view.setUint32(pe.checksumOffset, peChecksum(file, pe.checksumOffset, pass.bodySum()), true);
  return file;
}

/** A signer is a program or a token that may be wrong; nothing it made goes out unchecked. */
function checkSignature(signature: Uint8Array, digest: Uint8Array, signer: Signer): void {
  const problem = verifySignature(readSignature(signature, "the signature just made"), () => digest);
  if (problem === null) return;
  throw new SealError("external", `${signer.certificate.label}: the signature just made is no good: ${problem}`);
}

/**
 * RFC 8551 2.5.2, with the ciphers that OpenSSL lists when it signs PKCS#7. They mean nothing for an EFI program, but
 * tools that are built on OpenSSL write them, and being equal to those to the byte makes every difference worth a look.
 */
const SMIME_CAPABILITIES: Attribute = {
  type: OID.smimeCapabilities,
  value: sequence(
    capability("2.16.840.1.101.3.4.1.42"),
    capability("2.16.840.1.101.3.4.1.22"),
    capability("2.16.840.1.101.3.4.1.2"),
    capability("1.2.840.113549.3.7"),
    capability("1.2.840.113549.3.2", 128),
    capability("1.2.840.113549.3.2", 64),
    capability("1.3.14.3.2.7"),
    capability("1.2.840.113549.3.2", 40),
  ),
};

function capability(oid: string, keyBits?: number): Uint8Array {
  return sequence(objectIdentifier(oid), ...(keyBits === undefined ? [] : [integer(keyBits)]));
}
