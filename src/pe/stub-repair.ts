/**
 * Old stubs were stripped or linked in ways that leave no place for further sections: a COFF symbol table at the end,
 * raw data off the file alignment. Current ones come out as they went in.
 */

import { Format } from "pe-library";
import { alignUp, Cursor } from "../bytes.ts";
import { concat } from "../chunks.ts";
import { inputError } from "../errors.ts";
import { type PeImage, type PeSection, parsePe } from "./headers.ts";
import { viewAt } from "./views.ts";

/** PE Format, "COFF symbol table": bytes of one entry. */
const SYMBOL_SIZE = 18;

/**
 * A copy of a stub that sections can be added to: its symbol table cut off where it ends the file, every section's raw
 * data on a multiple of FileAlignment, SizeOfHeaders rounded up to one.
 * @returns new bytes, and the image parsed from them
 * @throws SealError `input` when the stub's layout does not allow that
 */
export function repairStub(stub: PeImage): { readonly bytes: Buffer; readonly pe: PeImage } {
  const copy = Buffer.from(concat(stub.file));
  let bytes = cutSymbolTable(copy, stub);
  const withData = stub.sections.filter((section) => section.rawSize > 0);
  if (withData.some((section) => isUnaligned(section, stub.fileAlignment)))
    bytes = alignSections(bytes, stub, withData);
  const sizeOfHeaders = alignUp(stub.sizeOfHeaders, stub.fileAlignment);
  if (bytes === copy && sizeOfHeaders === stub.sizeOfHeaders) return { bytes, pe: { ...stub, file: [bytes] } };
  bytes.writeUInt32LE(sizeOfHeaders, stub.optionalHeaderOffset + 60);
  return { bytes, pe: parsePe([bytes], stub.subject) };
}

function cutSymbolTable(bytes: Buffer, stub: PeImage): Buffer {
  const coff = Format.ImageFileHeader.from(...viewAt(bytes, stub.peOffset + 4));
  const start = coff.pointerToSymbolTable;
  if (start === 0) return bytes;
  // The string table follows the symbols; its first word is its size, including itself.
  const stringsAt = start + SYMBOL_SIZE * coff.numberOfSymbols;
  const cursor = new Cursor(bytes, stub.subject);
  const end = stringsAt + (stringsAt + 4 <= bytes.length ? cursor.u32(stringsAt, "size of the string table") : 0);
  if (end !== bytes.length) return bytes;
  coff.pointerToSymbolTable = 0;
  coff.numberOfSymbols = 0;
  // Characteristics stay as they are, although a flag for stripped symbols exists: so does ukify.
  const cut = bytes.subarray(0, start);
  // A table that overlaps a section's data is not a symbol table.
  parsePe([cut], stub.subject);
  return cut;
}

function isUnaligned(section: PeSection, alignment: number): boolean {
  return section.rawOffset % alignment !== 0 || section.rawSize % alignment !== 0;
}

/** Inserts zeros before and after the raw data of each section; the data of later sections moves along. */
function alignSections(bytes: Buffer, stub: PeImage, sections: readonly PeSection[]): Buffer {
  const parts: Uint8Array[] = [];
  let copied = 0;
  let shift = 0;
  const headers: { offset: number; rawOffset: number; rawSize: number }[] = [];
  for (const section of sections) {
    if (section.rawOffset < copied) {
      throw inputError(stub.subject, "the stub's sections are neither aligned nor in file order; give a newer stub");
    }
    const rawOffset = alignUp(section.rawOffset + shift, stub.fileAlignment);
    const rawSize = alignUp(section.rawSize, stub.fileAlignment);
    const end = section.rawOffset + section.rawSize;
    const before = rawOffset - (section.rawOffset + shift);
    const behind = rawSize - section.rawSize;
    parts.push(bytes.subarray(copied, section.rawOffset), new Uint8Array(before));
    parts.push(bytes.subarray(section.rawOffset, end), new Uint8Array(behind));
    headers.push({ offset: section.headerOffset, rawOffset, rawSize });
    copied = end;
    shift += before + behind;
  }
  parts.push(bytes.subarray(copied));
  const aligned = Buffer.concat(parts);
  for (const { offset, rawOffset, rawSize } of headers) {
    aligned.writeUInt32LE(rawSize, offset + 16);
    aligned.writeUInt32LE(rawOffset, offset + 20);
  }
  return aligned;
}
