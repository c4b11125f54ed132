/**
 * The Authenticode hash of a PE image: what signatures of EFI programs sign and firmware computes before it starts one.
 * "Windows Authenticode Portable Executable Signature Format", section "Calculating the PE Image Hash"; where the words
 * leave room, as EDK II computes it (HashPeImage in DxeImageVerificationLib).
 */
import { createHash } from "node:crypto";
import { alignUp, readRange } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { CERTIFICATE_ALIGNMENT, imageEnd } from "./certtable.ts";
import type { PeImage, PeSection } from "./headers.ts";

export const AUTHENTIHASH_ALGORITHMS = ["sha1", "sha256", "sha384", "sha512"] as const;
export type AuthentihashAlgorithm = (typeof AUTHENTIHASH_ALGORITHMS)[number];

/**
 * Hashes an image, signed or not: the checksum, the certificate table and its directory entry do not count. An image whose length is no
 * multiple of 8 is hashed with the zeros that signing it adds.
 * @returns the digest, 20 to 64 bytes
 * @throws SealError `input` when the image has no place for a certificate table, or one that is not at its end
 */
export function authentihash(pe: PeImage, algorithm: AuthentihashAlgorithm): Uint8Array {
  const { file, checksumOffset } = pe;
  const directory = securityDirectory(pe);
  const hash = createHash(algorithm);
  const update = (start: number, end: number) => {
    for (const view of readRange(file, start, end)) hash.update(view);
  };
  // 3. to 7.: the headers up to SizeOfHeaders, without CheckSum and the certificate table's directory entry.
  update(0, checksumOffset);
  update(checksumOffset + 4, directory);
  update(directory + 8, pe.sizeOfHeaders);
  // 9. to 13.: the sections' data in the order of the file.
  for (const section of sectionsInFileOrder(pe)) update(section.rawOffset, section.rawOffset + section.rawSize);
  // 14.: what is left, counted from the number of bytes hashed. With gaps between sections this is not where the last one ends.
  const end = imageEnd(pe);
  update(bytesInSections(pe), end);
  hash.update(new Uint8Array(alignUp(end, CERTIFICATE_ALIGNMENT) - end));
  return hash.digest();
}

/**
 * Whether there are bytes between sections, which the rules above leave out and others hash twice: some signing tools
 * (osslsigncode) hash such a file from start to end and differ.
 */
export function hasSectionGaps(pe: PeImage): boolean {
  const last = sectionsInFileOrder(pe).at(-1);
  return last !== undefined && last.rawOffset + last.rawSize !== bytesInSections(pe);
}

/**
 * File offset of the certificate table's directory entry.
 * @throws SealError `input` when the image has none
 */
export function securityDirectory(pe: PeImage): number {
  if (pe.securityDirectoryOffset === null) {
    throw inputError(
      pe.subject,
      `can't be signed: it has ${pe.dataDirectories.length} data directories, the signature's would be the fifth`,
    );
  }
  return pe.securityDirectoryOffset;
}

function sectionsInFileOrder(pe: PeImage): PeSection[] {
  return pe.sections.filter((section) => section.rawSize > 0).sort((a, b) => a.rawOffset - b.rawOffset);
}

/** SUM_OF_BYTES_HASHED after the sections: SizeOfHeaders and the sizes of all sections. */
function bytesInSections(pe: PeImage): number {
  return pe.sections.reduce((sum, section) => sum + section.rawSize, pe.sizeOfHeaders);
}
