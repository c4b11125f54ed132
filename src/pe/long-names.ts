/**
 * Names of sections that are longer than the eight bytes of a section header. GNU ld and lld write `/37` there, an
 * offset in the string table after the COFF symbol table (PE Format, "Section Table (Section Headers)", Name), as in
 * shim (`.vendor_cert`, `.sbatlevel`). Linkers write no shorter name this way, and none is resolved to one: firmware,
 * shim and systemd-stub look at the eight bytes only, and would not find a `.linux` that only the string table names.
 */
import { Cursor } from "../bytes.ts";
import { concat, firstBytes, readRange } from "../chunks.ts";
import type { PeImage, PeSection } from "./headers.ts";

/** PE Format, "COFF File Header": offsets from the end of the signature, and the size of one symbol. */
const SYMBOL_TABLE_POINTER = 12;
const SYMBOL_COUNT = 16;
const SYMBOL_SIZE = 18;
/** The string table starts with its size, itself included. */
const SIZE_FIELD = 4;
const SHORT_NAME = 8;
/** Longer ones are not shown. */
const NAME_LIMIT = 256;

/**
 * The names of an image's sections as linkers know them.
 * @returns in the order of the section table; a name that can't be resolved is the one in the header
 */
export function sectionNames(pe: PeImage): string[] {
  const isLong = pe.sections.some(({ name }) => name.startsWith("/"));
  const strings = isLong ? stringTable(pe) : null;
  return pe.sections.map(({ name }) => (strings === null ? null : longName(name, strings)) ?? name);
}

/** Sections of that name, by their headers, or else by the string table. */
export function sectionsNamed(pe: PeImage, name: string): PeSection[] {
  const short = pe.sections.filter((section) => section.name === name);
  if (short.length > 0) return short;
  const names = sectionNames(pe);
  return pe.sections.filter((_, index) => names[index] === name);
}

/** The string table; null where the image has none, or one that is not in the file. */
function stringTable(pe: PeImage): Uint8Array | null {
  const coff = new Cursor(firstBytes(pe.file), pe.subject);
  const symbols = coff.u32(pe.peOffset + SYMBOL_TABLE_POINTER, "COFF header");
  const start = symbols + SYMBOL_SIZE * coff.u32(pe.peOffset + SYMBOL_COUNT, "COFF header");
  if (symbols === 0 || start + SIZE_FIELD > pe.length) return null;
  const size = new Cursor(concat([...readRange(pe.file, start, start + SIZE_FIELD)]), pe.subject).u32(
    0,
    "string table",
  );
  if (size < SIZE_FIELD || start + size > pe.length) return null;
  return concat([...readRange(pe.file, start, start + size)]);
}

/** `/` and decimal digits, or `//` and six of base64, which reach further. */
function longName(name: string, strings: Uint8Array): string | null {
  const [, digits, base64] = /^\/(?:(\d{1,7})|\/([A-Za-z0-9+/]{6}))$/.exec(name) ?? [];
  if (digits === undefined && base64 === undefined) return null;
  const offset = digits === undefined ? fromBase64(base64 ?? "") : Number(digits);
  if (offset < SIZE_FIELD || offset >= strings.length) return null;
  const end = strings.indexOf(0, offset);
  const text = strings.subarray(offset, end === -1 ? offset : end);
  if (text.length <= SHORT_NAME || text.length > NAME_LIMIT) return null;
  return Buffer.from(text).toString("latin1");
}

/** A number of six digits, the highest first. */
function fromBase64(digits: string): number {
  const value = (digit: string) => Buffer.from(`AAA${digit}`, "base64")[2] ?? 0;
  return [...digits].reduce((sum, digit) => sum * 64 + value(digit), 0);
}
