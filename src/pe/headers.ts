/**
 * Reading the headers of a PE/COFF image (PE32 and PE32+), by "PE Format", revision 2024 or later
 * (https://learn.microsoft.com/windows/win32/debug/pe-format). Strict where the bytes decide what is hashed, copied or
 * loaded: every range must lie in the file and no two may overlap there. Lenient where real images differ: the number
 * of data directories (x86 kernels have six), section alignments below a page (older kernels), section names.
 */

import { Format } from "pe-library";
import { Cursor, displayBytes } from "../bytes.ts";
import { byteLength, type Chunks, firstBytes, sliceChunks } from "../chunks.ts";
import { inputError, type SealError } from "../errors.ts";
import { viewAt } from "./views.ts";

/** A section of a PE file, as its header describes it. */
export interface PeSection {
  /** The name field up to its first NUL, byte by byte as Latin-1. */
  readonly name: string;
  readonly virtualSize: number;
  readonly virtualAddress: number;
  /** SizeOfRawData. */
  readonly rawSize: number;
  /** PointerToRawData. */
  readonly rawOffset: number;
  readonly characteristics: number;
  /** File offset of the 40-byte section header. */
  readonly headerOffset: number;
}

/** An entry of the data directories in a PE optional header. */
export interface DataDirectory {
  readonly virtualAddress: number;
  readonly size: number;
}

/** A parsed image: the file's bytes (views) and what its headers say. Offsets count from the start of the file. */
export interface PeImage {
  readonly file: Chunks;
  /** Bytes in the file. */
  readonly length: number;
  /** What the user knows the file by, for messages. */
  readonly subject: string;
  readonly format: "pe32" | "pe32+";
  /** COFF Machine; see arch.ts. */
  readonly machine: number;
  /** Offset of the signature `PE\0\0`. */
  readonly peOffset: number;
  readonly optionalHeaderOffset: number;
  readonly sectionTableOffset: number;
  readonly sectionAlignment: number;
  readonly fileAlignment: number;
  readonly sizeOfHeaders: number;
  readonly sizeOfImage: number;
  readonly checksumOffset: number;
  readonly checksum: number;
  readonly subsystem: number;
  readonly dllCharacteristics: number;
  readonly dataDirectories: readonly DataDirectory[];
  /** Offset of the certificate table's data directory entry; null when there are fewer than five directories. */
  readonly securityDirectoryOffset: number | null;
  /** The attribute certificate table; null when the image has none. */
  readonly certificateTable: { readonly offset: number; readonly size: number } | null;
  /** In the order of the section table. */
  readonly sections: readonly PeSection[];
}

export const SECTION_HEADER_SIZE = Format.ImageSectionHeaderArray.itemSize;
/** COFF file header after the signature. */
const COFF_END = 4 + Format.ImageFileHeader.size;
/** Index of the certificate table's data directory. */
const SECURITY_DIRECTORY = Format.ImageDirectoryEntry.Certificate;
/** Firmware refuses images with more (EDK II, BasePeCoffLib). */
const MAX_DIRECTORIES = 16;
const LIMIT_32 = 2 ** 32;

/**
 * Parses the headers of a PE image.
 * @param file the whole file; its first chunk holds all headers
 * @param subject names the file in errors
 * @throws SealError `input` for anything that is not at a PE image, is truncated, or has contradictory headers
 * @example
 * ```ts
 * import { readFile } from "node:fs/promises";
 * import { findSection, parsePe, sectionData } from "seal";
 *
 * const pe = parsePe([await readFile("tool.efi")], "tool.efi");
 * for (const { name, virtualSize } of pe.sections) console.log(name, virtualSize);
 * const sbat = findSection(pe, ".sbat");
 * if (sbat !== null) console.log(Buffer.concat([...sectionData(pe, sbat)]).toString());
 * ```
 */
export function parsePe(file: Chunks, subject: string): PeImage {
  const length = byteLength(file);
  const cursor = new Cursor(firstBytes(file), subject);
  const peOffset = findPeHeader(cursor);

  const coff = Format.ImageFileHeader.from(
    ...viewAt(cursor.slice(peOffset + 4, Format.ImageFileHeader.size, "COFF header")),
  );
  const optionalHeaderOffset = peOffset + COFF_END;
  const { format, optional, directoriesOffset } = readOptionalHeader(cursor, optionalHeaderOffset);

  const directoryCount = optional.numberOfRvaAndSizes;
  const sectionTableOffset = optionalHeaderOffset + coff.sizeOfOptionalHeader;
  if (directoryCount > MAX_DIRECTORIES || directoriesOffset + 8 * directoryCount > sectionTableOffset) {
    throw inputError(
      subject,
      `corrupt PE file: its optional header has no room for ${directoryCount} data directories`,
    );
  }
  const dataDirectories = readDirectories(cursor, directoriesOffset, directoryCount);

  const headersEnd = sectionTableOffset + SECTION_HEADER_SIZE * coff.numberOfSections;
  if (optional.sizeOfHeaders < headersEnd || optional.sizeOfHeaders > length) {
    throw inputError(
      subject,
      `truncated or corrupt PE file: SizeOfHeaders is ${optional.sizeOfHeaders}, the headers end at ${headersEnd} and the file at ${length}`,
    );
  }
  const sections = readSections(cursor, sectionTableOffset, coff.numberOfSections);
  const image: PeImage = {
    file,
    length,
    subject,
    format,
    machine: coff.machine,
    peOffset,
    optionalHeaderOffset,
    sectionTableOffset,
    sectionAlignment: optional.sectionAlignment,
    fileAlignment: optional.fileAlignment,
    sizeOfHeaders: optional.sizeOfHeaders,
    sizeOfImage: optional.sizeOfImage,
    checksumOffset: optionalHeaderOffset + 64,
    checksum: optional.checkSum,
    subsystem: optional.subsystem,
    dllCharacteristics: optional.dllCharacteristics,
    dataDirectories,
    securityDirectoryOffset: directoryCount > SECURITY_DIRECTORY ? directoriesOffset + 8 * SECURITY_DIRECTORY : null,
    certificateTable: certificateTable(dataDirectories[SECURITY_DIRECTORY]),
    sections,
  };
  checkAlignments(image);
  checkFileRanges(image);
  checkAddresses(image);
  return image;
}

/** The first section of that name in table order, or null. */
export function findSection(pe: PeImage, name: string): PeSection | null {
  return pe.sections.find((section) => section.name === name) ?? null;
}

/** What a section holds: min(virtualSize, rawSize) bytes of the file as views. The rest, up to rawSize, is padding. */
export function sectionData(pe: PeImage, section: PeSection): Chunks {
  const size = Math.min(section.virtualSize, section.rawSize);
  return size === 0 ? [] : sliceChunks(pe.file, section.rawOffset, section.rawOffset + size);
}

/** Offset of `PE\0\0`, through the MS-DOS header. */
function findPeHeader(cursor: Cursor): number {
  if (cursor.length < Format.ImageDosHeader.size || cursor.u16(0, "MZ") !== Format.ImageDosHeader.DEFAULT_MAGIC) {
    throw inputError(cursor.subject, "not a PE file (it does not start with an MZ header)");
  }
  const peOffset = cursor.u32(0x3c, "offset of the PE header");
  if (peOffset < Format.ImageDosHeader.size || peOffset + COFF_END > cursor.length) {
    throw inputError(cursor.subject, `not a PE file, or truncated: its PE header would be at ${peOffset}`);
  }
  if (cursor.u32(peOffset, "PE signature") !== Format.ImageNtHeaders.DEFAULT_SIGNATURE) {
    throw inputError(cursor.subject, "not a PE file (an MZ header without a PE header)");
  }
  return peOffset;
}

function readOptionalHeader(cursor: Cursor, offset: number) {
  const magic = cursor.u16(offset, "optional header");
  const { ImageOptionalHeader, ImageOptionalHeader64 } = Format;
  switch (magic) {
    case ImageOptionalHeader.DEFAULT_MAGIC: {
      const { size } = ImageOptionalHeader;
      const optional = ImageOptionalHeader.from(...viewAt(cursor.slice(offset, size, "optional header")));
      return { format: "pe32", optional, directoriesOffset: offset + size } as const;
    }
    case ImageOptionalHeader64.DEFAULT_MAGIC: {
      const { size } = ImageOptionalHeader64;
      const optional = ImageOptionalHeader64.from(...viewAt(cursor.slice(offset, size, "optional header")));
      return { format: "pe32+", optional, directoriesOffset: offset + size } as const;
    }
    default:
      throw inputError(
        cursor.subject,
        `not a PE32 or PE32+ file: its optional header has magic 0x${magic.toString(16)}`,
      );
  }
}

function readDirectories(cursor: Cursor, offset: number, count: number): DataDirectory[] {
  return Array.from({ length: count }, (_, index) => ({
    virtualAddress: cursor.u32(offset + 8 * index, "data directory"),
    size: cursor.u32(offset + 8 * index + 4, "data directory"),
  }));
}

function readSections(cursor: Cursor, tableOffset: number, count: number): PeSection[] {
  const table = cursor.slice(tableOffset, SECTION_HEADER_SIZE * count, "section table");
  const [buffer, offset] = viewAt(table);
  const headers = Format.ImageSectionHeaderArray.from(buffer, count, offset);
  return Array.from({ length: count }, (_, index) => {
    const header = headers.get(index);
    const nameBytes = table.subarray(SECTION_HEADER_SIZE * index, SECTION_HEADER_SIZE * index + 8);
    const nul = nameBytes.indexOf(0);
    return {
      name: String.fromCharCode(...(nul === -1 ? nameBytes : nameBytes.subarray(0, nul))),
      virtualSize: header.virtualSize,
      virtualAddress: header.virtualAddress,
      rawSize: header.sizeOfRawData,
      rawOffset: header.pointerToRawData,
      characteristics: header.characteristics,
      headerOffset: tableOffset + SECTION_HEADER_SIZE * index,
    };
  });
}

/**
 * Unlike all other directories this one holds a file offset; tools that remove signatures (pesign)
 * may leave it in place.
 */
function certificateTable(directory: DataDirectory | undefined): PeImage["certificateTable"] {
  if (directory === undefined || directory.size === 0) return null;
  return { offset: directory.virtualAddress, size: directory.size };
}

function checkAlignments(pe: PeImage): void {
  const { fileAlignment, sectionAlignment } = pe;
  if (!isPowerOfTwo(fileAlignment) || !isPowerOfTwo(sectionAlignment) || sectionAlignment < fileAlignment) {
    throw corrupt(pe, `impossible alignments (file ${fileAlignment}, sections ${sectionAlignment})`);
  }
}

/** Headers, section data and certificate table must lie in the file, in order and without overlap. */
function checkFileRanges(pe: PeImage): void {
  const ranges = pe.sections
    .filter((section) => section.rawSize > 0)
    .map((section) => ({
      what: sectionLabel(section),
      start: section.rawOffset,
      end: section.rawOffset + section.rawSize,
    }))
    .sort((a, b) => a.start - b.start);
  const { certificateTable: certificates } = pe;
  if (certificates !== null) {
    const { offset, size } = certificates;
    ranges.push({ what: "the certificate table", start: offset, end: offset + size });
  }
  let previous = { what: "the headers", start: 0, end: pe.sizeOfHeaders };
  for (const range of ranges) {
    if (range.end > pe.length) {
      throw corrupt(pe, `${range.what} ends at ${range.end}, the file at ${pe.length}`, "truncated or corrupt");
    }
    if (range.start < previous.end) throw corrupt(pe, `${range.what} overlaps ${previous.what}`);
    previous = range;
  }
}

/** Sections must lie in the 32-bit address space. Whether they overlap there is said by address-overlap.ts. */
function checkAddresses(pe: PeImage): void {
  for (const section of pe.sections) {
    if (section.virtualAddress + section.virtualSize > LIMIT_32) {
      throw corrupt(pe, `${sectionLabel(section)} ends beyond the 32-bit address space`);
    }
  }
}

/** `section ".text"`, for messages. */
export function sectionLabel(section: PeSection): string {
  return `section "${displayBytes(Buffer.from(section.name, "latin1"))}"`;
}

function corrupt(pe: PeImage, reason: string, kind = "corrupt"): SealError {
  return inputError(pe.subject, `${kind} PE file: ${reason}`);
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && Number.isInteger(Math.log2(value));
}
