/**
 * Signs PE files: "Windows Authenticode Portable Executable Signature Format", in the form that sbsign and
 * systemd-sbsign write and all firmware is used to.
 */
import { alignUp } from "../bytes.ts";
import { type Chunks, concat, joinChunks, type Patch, piecesOf, readRange, sliceChunks } from "../chunks.ts";
import { inputError, SealError } from "../errors.ts";
import { addressWarnings } from "../pe/address-overlap.ts";
import { hasSectionGaps, keepAuthentihash, securityDirectory } from "../pe/authentihash.ts";
import {
  CERTIFICATE_ALIGNMENT,
  encodeCertificateTable,
  imageEnd,
  readCertificateTable,
  WIN_CERTIFICATE_TYPE,
} from "../pe/certtable.ts";
import { peChecksum } from "../pe/checksum.ts";
import { type PeImage, parsePe } from "../pe/headers.ts";
import { PePass } from "../pe/pe-pass.ts";
import { peMessage, signMessage } from "./pe-message.ts";
import { readSignature } from "./signature.ts";
import type { Signer } from "./signer.ts";
import { verifySignature } from "./verify.ts";

/** How a PE file is signed. */
export interface SignOptions {
  /** True: signatures that are there stay, the new one comes last. False: they are replaced. */
  readonly append: boolean;
  /** What the signature says about when it was made; null leaves it out. */
  readonly signingTime: Date | null;
}

/**
 * Signs a PE image. The same image, key and time give the same bytes. The new signature has been
 * verified when this returns.
 * @returns the signed image with its headers parsed again; all other bytes but the certificate table
 *   are views of `pe.file`
 * @throws SealError `input` when the image can't be signed, `external` when the signer's signature is invalid;
 *   what the signer throws
 * @example
 * ```ts
 * import { readFile, writeFile } from "node:fs/promises";
 * import { createSignerFrom, openKeyFile, parsePe, readCertificateFile, signPe } from "seal";
 *
 * const { privateKey } = await openKeyFile(await readFile("db.key"), "db.key", null);
 * const signer = createSignerFrom(privateKey, readCertificateFile(await readFile("db.crt"), "db.crt"), []);
 * const pe = parsePe([await readFile("tool.efi")], "tool.efi");
 * const signed = await signPe(pe, signer, { append: true, signingTime: null });
 * await writeFile("tool.signed.efi", signed.file);
 * ```
 */
export async function signPe(pe: PeImage, signer: Signer, options: SignOptions): Promise<PeImage> {
  return signImage(new PePass(pe, "sign"), signer, options);
}

/**
 * {@link signPe} of an image that is written as it is hashed, so that its file is read once.
 * @returns the bytes of the signed file in order, then what its headers say about the signature. A piece is good until
 *   the next but one is asked for
 * @throws SealError as {@link signPe}
 */
export async function* signPieces(
  pe: PeImage,
  signer: Signer,
  options: SignOptions,
): AsyncGenerator<Uint8Array | Patch, void> {
  const pass = new PePass(pe, "sign");
  const end = imageEnd(pe);
  let at = 0;
  for (const piece of piecesOf(pe.file, 0, end)) {
    pass.take(piece, at);
    at += piece.length;
    yield piece;
  }
  const { file, length } = await signImage(pass, signer, options);
  yield* readRange(file, end, length);
  yield { at: 0, bytes: concat([...readRange(file, 0, pe.sizeOfHeaders)]) };
}

async function signImage(pass: PePass, signer: Signer, options: SignOptions): Promise<PeImage> {
  const digest = pass.hash("sha256");
  const signature = await signMessage(peMessage(digest, options.signingTime), signer);
  checkSignature(signature, digest, signer);
  const signed = attachEntry(pass, signature, options.append);
  keepAuthentihash(signed, "sha256", digest);
  return signed;
}

/**
 * Puts a signature that has been checked into a PE image.
 * @param signature ContentInfo, DER, without padding
 * @param append whether the signatures that are there stay
 */
export function attachEntry(pass: PePass, signature: Uint8Array, append: boolean): PeImage {
  const kept = append ? readCertificateTable(pass.pe) : [];
  // The padding that the table's alignment wants is counted in dwLength: osslsigncode and systemd-sbsign do it so.
  const data = concat([signature, new Uint8Array(alignUp(signature.length, CERTIFICATE_ALIGNMENT) - signature.length)]);
  const table = encodeCertificateTable([...kept, { type: WIN_CERTIFICATE_TYPE.pkcsSignedData, data }]);
  return parsePe(attachTable(pass, table), pass.pe.subject);
}

/** What a person should know before this image is signed. */
export function signingWarnings(pe: PeImage): string[] {
  const warnings = addressWarnings(pe);
  if (!hasSectionGaps(pe)) return warnings;
  return [
    ...warnings,
    `${pe.subject}: there are bytes between its sections. Firmware does not hash them like other bytes; osslsigncode computes a different hash and will report the signature as invalid`,
  ];
}

/** The file up to its signatures, padded, followed by this table; directory entry and checksum are updated. */
function attachTable(pass: PePass, table: Uint8Array): Chunks {
  const { pe } = pass;
  const end = imageEnd(pe);
  const start = alignUp(end, CERTIFICATE_ALIGNMENT);
  const headers = concat([...readRange(pe.file, 0, pe.sizeOfHeaders)]);
  const view = new DataView(headers.buffer);
  const directory = securityDirectory(pe);
  if (start + table.length > 0xffffffff)
    throw inputError(pe.subject, "too large to sign: PE files are limited to 4 GiB");
  view.setUint32(directory, start, true);
  view.setUint32(directory + 4, table.length, true);
  const body = sliceChunks(pe.file, pe.sizeOfHeaders, end);
  const file = joinChunks([headers], body, [new Uint8Array(start - end), table]);
  view.setUint32(pe.checksumOffset, peChecksum(file, pe.checksumOffset, pass.bodySum()), true);
  return file;
}

/** A signer is a program or a token that may be wrong; nothing it made goes out unchecked. */
function checkSignature(signature: Uint8Array, digest: Uint8Array, signer: Signer): void {
  const { certificate, chain } = signer;
  const made = readSignature(signature, "the signature just made", [certificate, ...chain]);
  const problem = verifySignature(made, () => digest);
  if (problem === null) return;
  throw new SealError("external", `${certificate.label}: the signature just made is invalid: ${problem}`);
}
