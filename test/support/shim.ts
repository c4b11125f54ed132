/** A shim, as far as its revocation levels tell: the section has a long name, which stands in the string table as GNU ld writes it. */
import { makePe } from "./pe.ts";

/** @param name makes it another program */
export function shimProgram(sbatlevel: Uint8Array, name = "shim"): Buffer {
  return makePe({
    sections: [
      { name: ".text", content: name, address: 0x1000 },
      { name: "/4", content: sbatlevel, address: 0x2000 },
    ],
    strings: [".sbatlevel"],
  });
}

/** One with these levels, laid out as in shim 16.1. */
export function shimWithLevels(automatic: string, latest = automatic, name = "shim"): Buffer {
  const offsets = Buffer.alloc(12);
  offsets.writeUInt32LE(8, 4);
  offsets.writeUInt32LE(9 + automatic.length, 8);
  return shimProgram(Buffer.concat([offsets, Buffer.from(`${automatic}\0${latest}\0`)]), name);
}
