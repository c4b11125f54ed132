/**
 * The Authenticode hash of a PE image: what signatures of EFI programs sign and firmware computes before it starts one.
 * "Windows Authenticode Portable Executable Signature Format", section "Calculating the PE Image Hash"; where the words
 * leave room, as EDK II computes it (HashPeImage in DxeImageVerificationLib).
 */
import { createHash, type Hash } from "node:crypto";
import { alignUp } from "../bytes.ts";
import { type Chunks, forEachPiece, joinChunks, sliceChunks } from "../chunks.ts";
import { inputError } from "../errors.ts";
import { CERTIFICATE_ALIGNMENT, imageEnd } from "./certtable.ts";
import { digestOf, keepDigest } from "./digest.ts";
import type { PeImage, PeSection } from "./headers.ts";

/** The hash algorithms that Authenticode signatures and signature lists use here. */
export const AUTHENTIHASH_ALGORITHMS = ["sha1", "sha256", "sha384", "sha512"] as const;
/** The name of a hash algorithm of Authenticode. */
export type AuthentihashAlgorithm = (typeof AUTHENTIHASH_ALGORITHMS)[number];

/**
 * Hashes an image, signed or not: the checksum, the certificate table and its directory entry do not count. An image
 * whose length is not a multiple of 8 is hashed with the zeros that signing it adds: this is what signatures are over.
 * @returns the digest, 20 to 64 bytes
 * @throws SealError `input` when the image has no place for a certificate table, or one that is not at its end
 */
export function authentihash(pe: PeImage, algorithm: AuthentihashAlgorithm): Uint8Array {
  return digestOf(algorithm, hashedContent(pe));
}

const hashedContents = new WeakMap<PeImage, Chunks>();

/**
 * The bytes that {@link authentihash} hashes, in their order: the same list for the same image, so that its digest
 * can be computed ahead.
 * @throws SealError as {@link authentihash}
 */
export function hashedContent(pe: PeImage): Chunks {
  let content = hashedContents.get(pe);
  if (content === undefined) {
    const parts = hashedRanges(pe)
      .filter(({ start, end }) => start < end)
      .map(({ start, end }) => sliceChunks(pe.file, start, end));
    content = joinChunks(...parts, [new Uint8Array(paddingOf(pe))]);
    hashedContents.set(pe, content);
  }
  return content;
}

/**
 * Has {@link authentihash} give a hash for an image that has been computed of the same image with other signatures, which
 * do not count.
 */
export function keepAuthentihash(pe: PeImage, algorithm: AuthentihashAlgorithm, hash: Uint8Array): void {
  keepDigest(algorithm, hashedContent(pe), hash);
}

/** How many zeros signing adds: 0 to 7. */
function paddingOf(pe: PeImage): number {
  const end = imageEnd(pe);
  return alignUp(end, CERTIFICATE_ALIGNMENT) - end;
}

/** What counts of a file, in the order in which it does; some may be empty or end before they start. */
function hashedRanges(pe: PeImage): FileRange[] {
  const directory = securityDirectory(pe);
  return [
    // 3. to 7.: the headers up to SizeOfHeaders, without CheckSum and the certificate table's directory entry.
    { start: 0, end: pe.checksumOffset },
    { start: pe.checksumOffset + 4, end: directory },
    { start: directory + 8, end: pe.sizeOfHeaders },
    // 9. to 13.: the sections' data in the order of the file.
    ...sectionsInFileOrder(pe).map(({ rawOffset, rawSize }) => ({ start: rawOffset, end: rawOffset + rawSize })),
    // 14.: the rest, counted from the number of bytes hashed. With gaps between sections this is not
    // where the last one ends.
    { start: bytesInSections(pe), end: imageEnd(pe) },
  ];
}

/**
 * The Authenticode hash of the file as it is, without the zeros that signing would add: what firmware looks for
 * in db and dbx (EDK II, HashPeImage) and measures (MeasurePeImageAndExtend; TCG PC Client Platform Firmware
 * Profile 1.05, 3.3.4.5). It differs from {@link authentihash} only for a file without signatures whose length is
 * not a multiple of 8.
 * @throws SealError as {@link authentihash}
 */
export function firmwareImageHash(pe: PeImage, algorithm: AuthentihashAlgorithm): Uint8Array {
  return new AuthentihashStream(pe, algorithm).digest("firmware");
}

/**
 * All hashes that lists must name to speak of an image: that of {@link firmwareImageHash}, and where it differs
 * {@link authentihash}, which the same image has as soon as it is signed.
 * @throws SealError as {@link authentihash}
 */
export function listedImageHashes(pe: PeImage, algorithm: AuthentihashAlgorithm): Uint8Array[] {
  const stream = new AuthentihashStream(pe, algorithm);
  const unpadded = stream.digest("firmware");
  return stream.padding === 0 ? [unpadded] : [unpadded, stream.digest("signature")];
}

/** Who hashes: a `signature` is over the image with the zeros that signing adds, `firmware` hashes a file as it is. */
export type HashForm = "signature" | "firmware";

/** {@link authentihash} of an image whose pieces may come by one after the other, for something else than the hash. */
export class AuthentihashStream {
  readonly #file: Chunks;
  readonly #hash: Hash;
  /** What is not hashed yet, in the order in which it counts. */
  readonly #ranges: { start: number; readonly end: number }[];
  /** How many zeros signing adds: 0 to 7. */
  readonly padding: number;

  /** @throws SealError as {@link authentihash} */
  constructor(pe: PeImage, algorithm: AuthentihashAlgorithm) {
    this.#ranges = hashedRanges(pe);
    this.#file = pe.file;
    this.#hash = createHash(algorithm);
    this.padding = paddingOf(pe);
  }

  /**
   * Hashes the covered bytes of a piece of the file. Pieces need not be adjacent: what lies between
   * them is read at the end.
   * @param at offset of the piece in the file
   */
  take(piece: Uint8Array, at: number): void {
    const pieceEnd = at + piece.length;
    for (let range = this.#ranges[0]; range !== undefined; range = this.#ranges[0]) {
      const end = Math.min(range.end, pieceEnd);
      if (range.start < range.end) {
        if (range.start < at || range.start >= end) return;
        this.#hash.update(piece.subarray(range.start - at, end - at));
        range.start = end;
        if (end < range.end) return;
      }
      this.#ranges.shift();
    }
  }

  /** Hashes what has not been taken. */
  digest(form: HashForm): Uint8Array {
    for (const { start, end } of this.#ranges.splice(0)) {
      if (start < end) forEachPiece(this.#file, start, end, (piece) => this.#hash.update(piece));
    }
    const hash = this.#hash.copy();
    return (form === "firmware" ? hash : hash.update(new Uint8Array(this.padding))).digest();
  }
}

/**
 * Whether there are bytes between sections, which the rules above leave out and others hash twice: some signing tools
 * (osslsigncode) hash such a file from start to end and differ.
 */
export function hasSectionGaps(pe: PeImage): boolean {
  const last = sectionsInFileOrder(pe).at(-1);
  return last !== undefined && last.rawOffset + last.rawSize !== bytesInSections(pe);
}

/** A part of a file, by offsets. */
export interface FileRange {
  readonly start: number;
  readonly end: number;
}

/**
 * What the hash does not count although it is neither the checksum nor about signatures: data between sections, which
 * no signature protects. Firmware does not load it.
 * @throws SealError `input` as {@link authentihash}
 */
export function uncoveredRanges(pe: PeImage): FileRange[] {
  const end = imageEnd(pe);
  const hashed: FileRange[] = [
    { start: 0, end: pe.sizeOfHeaders },
    ...sectionsInFileOrder(pe).map(({ rawOffset, rawSize }) => ({ start: rawOffset, end: rawOffset + rawSize })),
    { start: bytesInSections(pe), end },
  ];
  const ranges: FileRange[] = [];
  let position = 0;
  for (const range of hashed.toSorted((a, b) => a.start - b.start)) {
    if (range.start > position) ranges.push({ start: position, end: range.start });
    position = Math.max(position, range.end);
  }
  return ranges;
}

/**
 * File offset of the certificate table's directory entry.
 * @throws SealError `input` when the image has none
 */
export function securityDirectory(pe: PeImage): number {
  if (pe.securityDirectoryOffset === null) {
    throw inputError(
      pe.subject,
      `can't be signed: it has ${pe.dataDirectories.length} data directories, and the signature needs a fifth`,
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
