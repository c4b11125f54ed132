import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toHex } from "../../src/bytes.ts";
import {
  type AuthentihashAlgorithm,
  authentihash,
  hasSectionGaps,
  uncoveredRanges,
} from "../../src/pe/authentihash.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { AUTHENTICODE_VECTORS } from "../support/signing.ts";
import { vector } from "../support/vectors.ts";

/** Taken from Debian's packages by the tests with live peers. */
const ELSEWHERE = ["pe/addon-257.efi.gz", "pe/stub-257.efi.gz"];
/** The value given for this one is what firmware computes; it must not come to that. */
const MALFORMED = "pe/signed-trailing-data.efi.gz";

const hashes = AUTHENTICODE_VECTORS.hashes.filter(({ pe }) => !ELSEWHERE.includes(pe));
const good = hashes.filter((entry) => entry.authenticode_hash !== null && entry.pe !== MALFORMED);
const hashOf = (bytes: Uint8Array, algorithm: AuthentihashAlgorithm = "sha256") =>
  toHex(authentihash(parsePe([bytes], "x.efi"), algorithm));

describe("authentihash", () => {
  it("has vectors", () => {
    expect(good.length).toBe(31);
    expect(hashes.length - good.length).toBe(2);
  });

  it.each(good.map((entry) => [`${entry.pe} ${entry.algorithm}`, entry] as const))("%s", (_, entry) => {
    const bytes = vector(`authenticode/${entry.pe}`);
    expect(toHex(createHash("sha256").update(bytes).digest())).toBe(entry.sha256);
    expect(hashOf(bytes, entry.algorithm)).toBe(entry.authenticode_hash);
  });

  it("is the same however the file is cut into chunks behind its headers", () => {
    const bytes = vector("authenticode/pe/signed-tail.efi.gz");
    const expected = hashOf(bytes);
    const { sizeOfHeaders } = parsePe([bytes], "x.efi");
    fc.assert(
      fc.property(fc.array(fc.integer({ min: sizeOfHeaders, max: bytes.length }), { maxLength: 6 }), (cuts) => {
        const edges = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
        const chunks = edges.slice(1).map((end, index) => bytes.subarray(edges[index], end));
        expect(toHex(authentihash(parsePe(chunks, "x.efi"), "sha256"))).toBe(expected);
      }),
    );
  });

  it("refuses an image without a place for signatures", () => {
    expect(() => hashOf(vector("authenticode/pe/nocertdir.efi.gz"))).toThrow(
      "x.efi: can't be signed: it has 4 data directories, and the signature needs a fifth",
    );
  });

  it("refuses bytes after the certificate table", () => {
    expect(() => hashOf(vector(`authenticode/${MALFORMED}`))).toThrow(
      /^x\.efi: corrupt PE file: its certificate table ends at/,
    );
  });

  it("depends on every byte but checksum, directory entry and certificate table", () => {
    const bytes = vector("authenticode/pe/signed-sbsign.efi.gz");
    const pe = parsePe([bytes], "x.efi");
    const expected = hashOf(bytes);
    const free = (offset: number) =>
      (offset >= pe.checksumOffset && offset < pe.checksumOffset + 4) || offset >= (pe.certificateTable?.offset ?? 0);
    const directory = pe.securityDirectoryOffset ?? 0;
    for (let offset = 0; offset < bytes.length; offset++) {
      if (offset >= directory && offset < directory + 8) continue;
      const changed = Uint8Array.from(bytes);
      changed[offset] = (changed[offset] ?? 0) ^ 1;
      let hash = "refused";
      try {
        hash = hashOf(changed);
      } catch {}
      expect([offset, hash === expected]).toEqual([offset, free(offset)]);
    }
  });
});

describe("hasSectionGaps", () => {
  it.each(["plain", "sections-swapped", "tail3", "unaligned-end", "zero-rawsize", "wideheaders"])(
    "%s: none",
    (name) => {
      expect(hasSectionGaps(parsePe([vector(`authenticode/pe/${name}.efi.gz`)], "x"))).toBe(false);
    },
  );

  it("finds the one in gap-between-sections", () => {
    expect(hasSectionGaps(parsePe([vector("authenticode/pe/gap-between-sections.efi.gz")], "x"))).toBe(true);
  });
});

describe("uncoveredRanges", () => {
  it("finds nothing where the whole file is hashed", () => {
    for (const name of ["plain", "tail3", "signed-twice", "pe32"]) {
      expect(uncoveredRanges(parsePe([vector(`authenticode/pe/${name}.efi.gz`)], "x"))).toEqual([]);
    }
  });

  it("finds exactly the bytes that change no hash", () => {
    const bytes = vector("authenticode/pe/gap-between-sections.efi.gz");
    const pe = parsePe([bytes], "x");
    const ranges = uncoveredRanges(pe);
    const inRanges = (offset: number) => ranges.some(({ start, end }) => offset >= start && offset < end);
    const expected = hashOf(bytes);
    for (let offset = pe.sizeOfHeaders; offset < bytes.length; offset += 7) {
      const changed = Uint8Array.from(bytes);
      changed[offset] = (changed[offset] ?? 0) ^ 1;
      expect([offset, hashOf(changed) === expected]).toEqual([offset, inRanges(offset)]);
    }
    expect(ranges.length).toBeGreaterThan(0);
  });
});
