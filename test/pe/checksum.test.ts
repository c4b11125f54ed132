import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { peChecksum } from "../../src/pe/checksum.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { vector } from "../support/vectors.ts";

/** The definition, word by word. */
function slowChecksum(file: Uint8Array, checksumOffset: number): number {
  const bytes = Uint8Array.from(file);
  bytes.fill(0, checksumOffset, checksumOffset + 4);
  let sum = 0;
  for (let index = 0; index < bytes.length; index += 2) {
    sum += (bytes[index] ?? 0) + 256 * (bytes[index + 1] ?? 0);
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return sum + bytes.length;
}

describe("peChecksum", () => {
  it("agrees with the definition for any bytes, cut anywhere", () => {
    const file = fc.uint8Array({ minLength: 8, maxLength: 200 });
    fc.assert(
      fc.property(file, fc.nat(), fc.array(fc.nat(200), { maxLength: 5 }), (bytes, position, cuts) => {
        const checksumOffset = position % (bytes.length - 3);
        const edges = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
        const chunks = edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge));
        expect(peChecksum(chunks, checksumOffset)).toBe(slowChecksum(bytes, checksumOffset));
      }),
      { numRuns: 1000 },
    );
  });

  it("keeps apart a sum of zero and one of 0xffff", () => {
    expect(peChecksum([new Uint8Array(8)], 0)).toBe(8);
    expect(peChecksum([Uint8Array.of(0, 0, 0, 0, 0xff, 0xff)], 0)).toBe(0xffff + 6);
  });

  it("is exact for sums that do not fit into 32 bits", () => {
    const bytes = new Uint8Array(9 << 20).fill(0xff);
    expect(peChecksum([bytes], 0x58)).toBe(0xffff + bytes.length);
  });

  // sbsign and osslsigncode set the field; it covers the certificate table too.
  for (const name of ["plain.osslsigncode.signer", "tail3.osslsigncode.signer", "plain.sbsign.signer"]) {
    it(`gives the value that the tool wrote into ${name}`, () => {
      const file = vector(`authenticode/signed/${name}.efi.gz`);
      const pe = parsePe([file], name);
      expect(pe.checksum).not.toBe(0);
      expect(peChecksum([file], pe.checksumOffset)).toBe(pe.checksum);
    });
  }
});
