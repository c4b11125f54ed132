/**
 * A shim, as far as its lists tell: its sections have long names, which stand in the string table as GNU ld writes it.
 */
import { makePe } from "./pe.ts";

const SECTIONS = [".sbatlevel", ".vendor_cert"] as const;

/** @param content of its sections; newer shims have all */
export function makeShim(
  content: Readonly<Partial<Record<(typeof SECTIONS)[number] | ".sbat", Uint8Array>>>,
  name = "shim",
): Buffer {
  const present = SECTIONS.filter((section) => content[section] !== undefined);
  const offsets = present.map((_, index) =>
    present.slice(0, index).reduce((end, section) => end + section.length + 1, 4),
  );
  return makePe({
    sections: [
      { name: ".text", content: name, address: 0x1000 },
      ...(content[".sbat"] === undefined ? [] : [{ name: ".sbat", content: content[".sbat"], address: 0x8000 }]),
      ...present.map((section, index) => ({
        name: `/${offsets[index]}`,
        content: content[section] ?? new Uint8Array(),
        address: 0x2000 * (index + 1),
      })),
    ],
    strings: [...present],
  });
}

/** @param name makes it another program */
export function shimProgram(sbatlevel: Uint8Array, name = "shim"): Buffer {
  return makeShim({ ".sbatlevel": sbatlevel }, name);
}

/** What shim 16.1 has there. */
export function levelSection(automatic: string, latest = automatic): Buffer {
  const offsets = Buffer.alloc(12);
  offsets.writeUInt32LE(8, 4);
  offsets.writeUInt32LE(9 + automatic.length, 8);
  return Buffer.concat([offsets, Buffer.from(`${automatic}\0${latest}\0`)]);
}

/** One with these levels. */
export function shimWithLevels(automatic: string, latest = automatic, name = "shim"): Buffer {
  return shimProgram(levelSection(automatic, latest), name);
}

/** What a vendor builds in: a certificate in DER or lists, and lists of what is revoked. */
export function vendorSection(allowed: Uint8Array, revoked: Uint8Array = new Uint8Array()): Buffer {
  const table = Buffer.alloc(16);
  for (const [index, word] of [allowed.length, revoked.length, 16, 16 + allowed.length].entries()) {
    table.writeUInt32LE(word, 4 * index);
  }
  return Buffer.concat([table, allowed, revoked]);
}
