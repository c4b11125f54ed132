import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { authentihash, hasSectionGaps } from "../../src/pe/authentihash.ts";
import { peChecksum } from "../../src/pe/checksum.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { PePass } from "../../src/pe/pe-pass.ts";
import { AUTHENTICODE_VECTORS } from "../support/signing.ts";
import { vector } from "../support/vectors.ts";

const hashed = AUTHENTICODE_VECTORS.hashes.filter((entry) => entry.authenticode_hash !== null);
const names = [...new Set(hashed.map(({ pe }) => pe))].filter((name) => !/(addon|stub)-257|trailing-data/.test(name));

describe("an image whose pieces come by", () => {
  it.each(names)("has hash and checksum of the whole: %s", (name) => {
    const file = vector(`authenticode/${name}`);
    const whole = parsePe([file], name);
    const sha256 = authentihash(whole, "sha256");
    const checksum = peChecksum([file], whole.checksumOffset);
    const cuts = fc.array(fc.integer({ min: 0, max: file.length }), { maxLength: 6 });
    fc.assert(
      fc.property(cuts, fc.boolean(), (ends, isWhole) => {
        const buffer = Buffer.from(file);
        const pass = new PePass(parsePe([buffer], name), "sign");
        const edges = [0, ...ends.toSorted((a, b) => a - b), isWhole ? file.length : (ends[0] ?? 0)];
        for (const [index, end] of edges.entries()) {
          const start = edges[index - 1] ?? 0;
          if (end > start) pass.take(Buffer.from(file.subarray(start, end)), start);
        }
        // What has been taken is not looked at again, unless it counts a second time: bytes behind
        // gaps between sections.
        const covered = whole.certificateTable?.offset ?? file.length;
        if (isWhole && !hasSectionGaps(whole)) buffer.fill(0x5a, whole.sizeOfHeaders, covered);
        expect(pass.hash("sha256")).toEqual(sha256);
        expect(peChecksum([buffer], whole.checksumOffset, pass.bodySum())).toBe(checksum);
      }),
      { numRuns: 20 },
    );
  });

  it("gives the other hashes, and each as often as it is asked for", () => {
    const file = vector("authenticode/pe/plain.efi.gz");
    const pass = new PePass(parsePe([file], "x.efi"), "verify");
    for (const algorithm of ["sha256", "sha1", "sha256", "sha512"] as const) {
      expect(pass.hash(algorithm)).toEqual(authentihash(pass.pe, algorithm));
    }
    expect(pass.bodySum()).toBeNull();
  });

  it("can be read without a place for signatures, and says so when it is to be hashed", () => {
    const file = vector("authenticode/pe/nocertdir.efi.gz");
    const pass = new PePass(parsePe([file], "x.efi"), "sign");
    pass.take(file, 0);
    expect(() => pass.hash("sha256")).toThrow("x.efi: can't be signed: it has 4 data directories");
  });
});
