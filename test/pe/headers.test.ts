import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { equalBytes } from "../../src/bytes.ts";
import { concat } from "../../src/chunks.ts";
import { SealError } from "../../src/errors.ts";
import { addressOverlap, addressWarnings } from "../../src/pe/address-overlap.ts";
import { findSection, type PeImage, parsePe, sectionData } from "../../src/pe/headers.ts";
import { vector } from "../support/vectors.ts";

const KERNEL = vector("uki/inputs/kernel-sbat");
const STUB = vector("uki/inputs/stub-plain");
const SIGNED = vector("uki/inputs/stub-signed");

/** A copy of a file with some 32-bit little-endian words changed. */
function patch(file: Uint8Array, words: Readonly<Record<number, number>>): Uint8Array {
  const copy = Buffer.from(file);
  for (const [offset, value] of Object.entries(words)) copy.writeUInt32LE(value, Number(offset));
  return copy;
}

function refusal(file: Uint8Array): string {
  try {
    parsePe([file], "test.efi");
  } catch (error) {
    expect(error).toBeInstanceOf(SealError);
    expect(error).toMatchObject({ code: "input" });
    const { message } = error as SealError;
    expect(message).toMatch(/^test\.efi: [^\n]+$/);
    return message;
  }
  throw new Error("was accepted");
}

describe("parsePe", () => {
  it("reads a kernel with six data directories", () => {
    const pe = parsePe([KERNEL], "kernel");
    expect(pe).toMatchObject({
      format: "pe32+",
      machine: 0x8664,
      length: KERNEL.length,
      peOffset: 0x40,
      sectionTableOffset: 0xf8,
      securityDirectoryOffset: 0x40 + 24 + 112 + 32,
      certificateTable: null,
    });
    expect(pe.dataDirectories).toHaveLength(6);
    expect(pe.sections.map((section) => section.name)).toEqual([".text", ".sbat", ".data"]);
  });

  it("reads PE32", () => {
    const pe = parsePe([vector("uki/inputs/stub-ia32")], "stub");
    expect(pe).toMatchObject({ format: "pe32", machine: 0x14c });
    expect(pe.checksumOffset).toBe(pe.peOffset + 88);
    expect(findSection(pe, ".sbat")).not.toBeNull();
  });

  it("finds the certificate table", () => {
    const pe = parsePe([SIGNED], "stub");
    expect(pe.certificateTable).toEqual({ offset: 5632, size: SIGNED.length - 5632 });
  });

  it("gives a section's content without its padding, also across chunks", () => {
    const whole = parsePe([KERNEL], "kernel");
    const sbat = findSection(whole, ".sbat");
    if (sbat === null) throw new Error("no .sbat");
    const content = concat(sectionData(whole, sbat));
    expect(content).toHaveLength(Math.min(sbat.virtualSize, sbat.rawSize));
    expect(Buffer.from(content).toString()).toMatch(/^sbat,1,/);
    const cut = sbat.rawOffset + 5;
    const split = parsePe([KERNEL.subarray(0, cut), KERNEL.subarray(cut)], "kernel");
    expect(equalBytes(concat(sectionData(split, sbat)), content)).toBe(true);
  });

  const pe = parsePe([STUB], "stub");
  const coff = pe.peOffset + 4;
  const [first, second] = pe.sections;
  const cases: Record<string, [file: Uint8Array, message: RegExp]> = {
    "an empty file": [new Uint8Array(), /not a PE file/],
    "a text": [Buffer.from("#!/bin/sh\n".repeat(20)), /not a PE file/],
    "MZ alone": [STUB.subarray(0, 64), /PE header would be at/],
    "a PE header beyond the end": [patch(STUB, { 60: 0xfffffff0 }), /PE header would be at/],
    "a PE header inside the MZ header": [patch(STUB, { 60: 4 }), /PE header would be at 4/],
    "a wrong signature": [patch(STUB, { [pe.peOffset]: 0 }), /MZ header without a PE header/],
    "an unknown optional header": [patch(STUB, { [pe.optionalHeaderOffset]: 0x107 }), /magic 0x107/],
    "65535 sections": [patch(STUB, { [coff]: 0xffff8664 }), /SizeOfHeaders/],
    "an optional header of no size": [patch(STUB, { [coff + 16]: 0 }), /no room for 16 data directories/],
    "too many directories": [patch(STUB, { [pe.optionalHeaderOffset + 108]: 17 }), /no room for 17/],
    "2^32-1 directories": [patch(STUB, { [pe.optionalHeaderOffset + 108]: 0xffffffff }), /no room for/],
    "headers longer than the file": [patch(STUB, { [pe.optionalHeaderOffset + 60]: 0x7fffffff }), /SizeOfHeaders/],
    "headers shorter than the section table": [patch(STUB, { [pe.optionalHeaderOffset + 60]: 64 }), /SizeOfHeaders/],
    "a file alignment of zero": [patch(STUB, { [pe.optionalHeaderOffset + 36]: 0 }), /alignments \(file 0/],
    "a section alignment that is no power of two": [
      patch(STUB, { [pe.optionalHeaderOffset + 32]: 4097 }),
      /alignments \(file 512, sections 4097\)/,
    ],
    "a section beyond the end": [
      patch(STUB, { [(first?.headerOffset ?? 0) + 16]: 0xfffffff0 }),
      /section "\.text" ends at \d+, the file at/,
    ],
    "a section in the headers": [patch(STUB, { [(first?.headerOffset ?? 0) + 20]: 64 }), /overlaps the headers/],
    "two sections at one place": [
      patch(STUB, { [(second?.headerOffset ?? 0) + 20]: first?.rawOffset ?? 0 }),
      /overlaps section/,
    ],
    "an address beyond 32 bits": [
      patch(STUB, { [(second?.headerOffset ?? 0) + 12]: 0xfffffff0 }),
      /beyond the 32-bit address space/,
    ],
    "a certificate table beyond the end": [SIGNED.subarray(0, SIGNED.length - 8), /certificate table ends at/],
    "a certificate table over a section": [
      patch(SIGNED, { [parsePe([SIGNED], "").securityDirectoryOffset ?? 0]: 5000 }),
      /certificate table overlaps section/,
    ],
  };
  for (const [title, [file, message]] of Object.entries(cases)) {
    it(`refuses ${title}`, () => expect(refusal(file)).toMatch(message));
  }

  it("reads sections whose addresses overlap, as firmware does, and says which", () => {
    expect(addressOverlap(pe)).toBeNull();
    const file = patch(STUB, { [(second?.headerOffset ?? 0) + 12]: first?.virtualAddress ?? 0 });
    const overlap = addressOverlap(parsePe([file], "x"));
    expect([overlap?.first.name, overlap?.second.name]).toEqual([first?.name, second?.name]);
    expect(addressWarnings(pe)).toEqual([]);
    expect(addressWarnings(parsePe([file], "x"))).toEqual([
      `x: the addresses of section "${second?.name}" overlap those of section "${first?.name}": firmware starts it, but one overwrites the other in memory`,
    ]);
  });

  it("takes a certificate table without size for none", () => {
    const file = patch(SIGNED, { [(parsePe([SIGNED], "").securityDirectoryOffset ?? 0) + 4]: 0 });
    expect(parsePe([file], "x").certificateTable).toBeNull();
  });
});

describe("hostile files", () => {
  /** Whatever parses must be readable to the last byte. */
  function walk(pe: PeImage): void {
    for (const section of pe.sections) sectionData(pe, section);
  }
  function check(file: Uint8Array): void {
    try {
      walk(parsePe([file], "test.efi"));
    } catch (error) {
      expect(error).toBeInstanceOf(SealError);
    }
  }

  it("parses or refuses every truncation of the headers", () => {
    for (const file of [STUB, KERNEL, SIGNED]) {
      for (let length = 0; length < 1024; length++) check(file.subarray(0, length));
    }
  });

  it("parses or refuses any change of header words, with no other error", () => {
    const interesting = fc.constantFrom(0, 1, 4, 0x10, 0x40, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff);
    const word = fc.tuple(fc.nat(1020), fc.oneof(interesting, fc.nat(0xffffffff), fc.nat(8192)));
    fc.assert(
      fc.property(
        fc.constantFrom(STUB, KERNEL, SIGNED),
        fc.array(word, { minLength: 1, maxLength: 6 }),
        (file, words) => check(patch(file, Object.fromEntries(words))),
      ),
      { numRuns: 3000 },
    );
  });

  it("parses or refuses random bytes behind a valid start", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 64, maxLength: 600 }),
        fc.integer({ min: 64, max: 500 }),
        (bytes, offset) => {
          const file = Buffer.from(bytes);
          file.write("MZ");
          file.writeUInt32LE(offset, 60);
          if (offset + 26 < file.length) {
            file.write("PE\0\0", offset);
            file.writeUInt16LE(0x20b, offset + 24);
          }
          check(file);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
