import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { authentihash } from "../../src/pe/authentihash.ts";
import { peChecksum } from "../../src/pe/checksum.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { ImagePass } from "../../src/pe/image-pass.ts";
import { AUTHENTICODE_VECTORS } from "../support/signing.ts";
import { vector } from "../support/vectors.ts";

const hashed = AUTHENTICODE_VECTORS.hashes.filter((entry) => entry.authenticode_hash !== null);
const names = [...new Set(hashed.map(({ pe }) => pe))].filter((name) => !/(addon|stub)-257|trailing-data/.test(name));

describe("an image that is hashed while it is read", () => {
  it.each(names)("gives hash and checksum of the whole: %s", (name) => {
    const file = vector(`authenticode/${name}`);
    const whole = parsePe([file], name);
    const sha256 = authentihash(whole, "sha256");
    const checksum = peChecksum([file], whole.checksumOffset);
    const progress = fc.array(fc.integer({ min: whole.sizeOfHeaders, max: file.length }), { maxLength: 6 });
    fc.assert(
      fc.property(progress, (ends) => {
        // What has not been read is anything but the file.
        const buffer = Buffer.alloc(file.length, 0xa5);
        file.copy(buffer, 0, 0, whole.sizeOfHeaders);
        const pass = new ImagePass(parsePe([buffer], name), "sign");
        for (const end of [whole.sizeOfHeaders, ...ends.toSorted((a, b) => a - b), file.length]) {
          file.copy(buffer, 0, 0, end);
          pass.advance(end);
        }
        // What has been worked on is not looked at again.
        buffer.fill(0x5a, whole.sizeOfHeaders, whole.certificateTable?.offset ?? file.length);
        expect(pass.hash("sha256")).toEqual(sha256);
        expect(peChecksum([buffer], whole.checksumOffset, pass.bodySum())).toBe(checksum);
      }),
      { numRuns: 20 },
    );
  });

  it("gives the other hashes, and each as often as it is asked for", () => {
    const file = vector("authenticode/pe/plain.efi.gz");
    const pass = new ImagePass(parsePe([file], "x.efi"), "verify");
    for (const algorithm of ["sha256", "sha1", "sha256", "sha512"] as const) {
      expect(pass.hash(algorithm)).toEqual(authentihash(pass.pe, algorithm));
    }
    expect(pass.bodySum()).toBeNull();
  });

  it("can be read without a place for signatures, and says so when it is to be hashed", () => {
    const file = vector("authenticode/pe/nocertdir.efi.gz");
    const pass = new ImagePass(parsePe([file], "x.efi"), "sign");
    pass.advance(file.length);
    expect(() => pass.hash("sha256")).toThrow("x.efi: can't be signed: it has 4 data directories");
  });
});
