/**
 * Writes a Unified Kernel Image: the bytes of a stub (systemd-stub) with further sections. The layout is that of ukify
 * 262, byte for byte; nothing in it depends on time, place or chance.
 */

import { Format } from "pe-library";
import { alignUp } from "../bytes.ts";
import { byteLength, type Chunks, joinChunks } from "../chunks.ts";
import { inputError, SealError } from "../errors.ts";
import { addressOverlap } from "./address-overlap.ts";
import { type PeImage, type PeSection, parsePe, SECTION_HEADER_SIZE } from "./headers.ts";
import { repairStub } from "./stub-repair.ts";
import type { UkiSection } from "./uki-sections.ts";
import { viewAt } from "./views.ts";

/** PE Format, "Section flags". */
const SCN_CNT_CODE = 0x20;
const SCN_CNT_INITIALIZED_DATA = 0x40;
const SCN_MEM_READ = 0x4000_0000;
/** PE Format, "DLL characteristics". */
const DLL_NX_COMPAT = 0x0100;
/** Offsets, addresses and sizes of a PE file have 32 bits. */
const MAX_SIZE = 0xffff_ffff;

/**
 * Adds sections to a stub. A section whose name the stub has already (`.sbat`) takes that one's place; all others
 * follow at the end of the file and of the address space, in the given order.
 * @returns the file: a patched copy of the stub, then paddings and the sections' own chunks; the first chunk holds all
 * headers. Of a section that is not in memory nothing is read
 * @throws SealError `input` for a stub that is signed, has no room for the headers or for a replaced section, or can't
 * be extended; or when the result exceeds what PE can describe
 */
export function assembleUki(stub: PeImage, sections: readonly UkiSection[]): Chunks {
  if (stub.certificateTable !== null) {
    throw inputError(
      stub.subject,
      "the stub is signed, and sections can't be added to a signed file; give an unsigned stub",
    );
  }
  const { bytes, pe: base } = repairStub(stub);
  const stubSections = base.sections.toSorted((a, b) => a.virtualAddress - b.virtualAddress);
  const last = lastSection(base, stubSections);

  const body: Chunks[] = [];
  const added: PeSection[] = [];
  let fileLength = bytes.length;
  let addressEnd = last.virtualAddress + last.virtualSize;
  for (const { name, content } of sections) {
    const length = byteLength(content);
    const headerOffset = last.headerOffset + SECTION_HEADER_SIZE * (added.length + 1);
    if (headerOffset + SECTION_HEADER_SIZE > base.sizeOfHeaders) {
      throw inputError(stub.subject, `the stub has no header space left for section ${name}; give fewer sections`);
    }
    const replaced = name === ".dtbauto" ? undefined : stubSections.find((section) => section.name === name);
    if (replaced !== undefined) {
      replaceSection(bytes, base, replaced, content, length);
      continue;
    }
    const rawOffset = alignUp(fileLength, base.fileAlignment);
    const rawSize = alignUp(length, base.fileAlignment);
    const virtualAddress = alignUp(addressEnd, base.sectionAlignment);
    body.push([new Uint8Array(rawOffset - fileLength)], content, [new Uint8Array(rawSize - length)]);
    added.push({
      name,
      virtualSize: length,
      virtualAddress,
      rawSize,
      rawOffset,
      characteristics: SCN_MEM_READ | (name === ".linux" ? SCN_CNT_CODE : SCN_CNT_INITIALIZED_DATA),
      headerOffset,
    });
    fileLength = rawOffset + rawSize;
    addressEnd = virtualAddress + length;
  }
  const sizeOfImage = alignUp(addressEnd, base.sectionAlignment);
  if (Math.max(fileLength, sizeOfImage) > MAX_SIZE) {
    throw new SealError(
      "input",
      `the UKI would have ${fileLength} bytes; a PE file ends below 4 GiB. Give a smaller initrd`,
    );
  }
  writeHeaders(bytes, base, added, sizeOfImage, sections);
  return joinChunks([bytes], ...body.filter((chunks) => byteLength(chunks) > 0));
}

/** The section that new ones follow, in the table and in the address space. */
function lastSection(pe: PeImage, byAddress: readonly PeSection[]): PeSection {
  const last = pe.sections.at(-1);
  if (last === undefined) throw inputError(pe.subject, "the stub has no sections");
  if (byAddress.at(-1) !== last) {
    throw inputError(pe.subject, "the stub's sections are not in address order; no section can be added after them");
  }
  return last;
}

/**
 * What a UKI's stub had no room for, as a warning; null when all fits. Its file is whole and the same as ukify's, but
 * in memory a section of the stub that grew ends in the next one, which is copied over it.
 */
export function crowdedStub(stub: PeImage, uki: PeImage): string | null {
  const overlap = addressOverlap(uki);
  if (overlap === null || addressOverlap(stub) !== null) return null;
  const { first, second } = overlap;
  const room = second.virtualAddress - first.virtualAddress;
  const advice = first.name === ".sbat" ? "fewer lines with --sbat" : `a shorter ${first.name}`;
  return `${stub.subject} has room for ${room} bytes of ${first.name} in memory, but the UKI needs ${first.virtualSize}, which overlaps ${second.name}. EDK II starts it anyway, other firmware may not. Give a newer stub (systemd 254 or later), or ${advice}`;
}

/** Puts content over a section of the stub, in place; only its VirtualSize changes. */
function replaceSection(bytes: Buffer, pe: PeImage, section: PeSection, content: Chunks, length: number): void {
  if (length > section.rawSize) {
    throw inputError(
      pe.subject,
      `section ${section.name} needs ${length} bytes, the stub has room for ${section.rawSize}. Give a newer stub, or ${section.name === ".sbat" ? "fewer lines with --sbat" : "a shorter one"}`,
    );
  }
  bytes.fill(0, section.rawOffset, section.rawOffset + section.rawSize);
  let offset = section.rawOffset;
  for (const chunk of content) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  bytes.writeUInt32LE(length, section.headerOffset + 8);
}

/** Everything in the headers that changes; time stamp, entry point, code size and data directories stay the stub's. */
function writeHeaders(
  bytes: Buffer,
  pe: PeImage,
  added: readonly PeSection[],
  sizeOfImage: number,
  sections: readonly UkiSection[],
): void {
  const coff = Format.ImageFileHeader.from(...viewAt(bytes, pe.peOffset + 4));
  coff.numberOfSections += added.length;
  const { ImageOptionalHeader, ImageOptionalHeader64 } = Format;
  const OptionalHeader = pe.format === "pe32" ? ImageOptionalHeader : ImageOptionalHeader64;
  const optional = OptionalHeader.from(...viewAt(bytes, pe.optionalHeaderOffset));
  // The exact sizes, although the field is meant to count rounded ones and .linux is code: so does ukify.
  for (const section of added) optional.sizeOfInitializedData += section.virtualSize;
  optional.sizeOfImage = sizeOfImage;
  optional.checkSum = 0;
  // Firmware that enforces NX must find the flag in the UKI only when the kernel that it runs has it too.
  if (sections.some((section) => section.name === ".linux" && lacksNxCompat(section))) {
    optional.dllCharacteristics &= ~DLL_NX_COMPAT;
  }
  for (const section of added) {
    const header = bytes.subarray(section.headerOffset, section.headerOffset + SECTION_HEADER_SIZE).fill(0);
    header.write(section.name, "latin1");
    header.writeUInt32LE(section.virtualSize, 8);
    header.writeUInt32LE(section.virtualAddress, 12);
    header.writeUInt32LE(section.rawSize, 16);
    header.writeUInt32LE(section.rawOffset, 20);
    header.writeUInt32LE(section.characteristics, 36);
  }
}

/** True for a PE image without the flag; anything else says nothing about it. */
function lacksNxCompat({ content, pe }: UkiSection): boolean {
  try {
    return ((pe ?? parsePe(content, ".linux")).dllCharacteristics & DLL_NX_COMPAT) === 0;
  } catch (error) {
    if (error instanceof SealError) return false;
    throw error;
  }
}
