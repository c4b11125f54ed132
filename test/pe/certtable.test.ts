import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { equalBytes } from "../../src/bytes.ts";
import { concat } from "../../src/chunks.ts";
import { SealError } from "../../src/errors.ts";
import {
  encodeCertificateTable,
  imageEnd,
  readCertificateTable,
  WIN_CERTIFICATE_TYPE,
} from "../../src/pe/certtable.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { vector } from "../support/vectors.ts";

const plain = vector("authenticode/pe/plain.efi.gz");

/** The plain image with this table behind it. */
function withTable(table: Uint8Array, change: (file: DataView, directory: number) => void = () => {}): Uint8Array {
  const file = concat([plain, table]);
  const view = new DataView(file.buffer);
  const directory = parsePe([plain], "x").securityDirectoryOffset ?? 0;
  view.setUint32(directory, plain.length, true);
  view.setUint32(directory + 4, table.length, true);
  change(view, directory);
  return file;
}

const read = (file: Uint8Array) => readCertificateTable(parsePe([file], "x.efi"));
const entry = (length: number, type: number = WIN_CERTIFICATE_TYPE.pkcsSignedData) => ({
  type,
  data: new Uint8Array(length).fill(7),
});

describe("readCertificateTable", () => {
  it("gives nothing for an unsigned image", () => {
    expect(read(plain)).toEqual([]);
    expect(imageEnd(parsePe([vector("authenticode/pe/tail3.efi.gz")], "x"))).toBe(5635);
  });

  it.each([
    ["signed-sbsign", [1593]],
    ["signed-systemd-sbsign", [1600]],
    ["signed-osslsigncode", [1504]],
    ["signed-twice", [1517, 1593]],
  ])("%s", (name, lengths) => {
    const file = vector(`authenticode/pe/${name}.efi.gz`);
    const certificates = read(file);
    expect(certificates.map(({ data }) => data.length)).toEqual(lengths);
    expect(certificates.every(({ type, data }) => type === 2 && data[0] === 0x30)).toBe(true);
    // What is written is what was there.
    const pe = parsePe([file], "x");
    expect(equalBytes(encodeCertificateTable(certificates), file.subarray(imageEnd(pe)))).toBe(true);
  });

  it("reads whatever is written", () => {
    const certificate = fc.record({ type: fc.nat(0xffff), data: fc.uint8Array({ minLength: 1, maxLength: 40 }) });
    fc.assert(
      fc.property(fc.array(certificate, { minLength: 1, maxLength: 5 }), (certificates) => {
        expect(read(withTable(encodeCertificateTable(certificates)))).toEqual(certificates);
      }),
    );
  });

  const one = encodeCertificateTable([entry(100)]);
  it.each<[string, Uint8Array, RegExp]>([
    ["a length of 0", withTable(one, (file) => file.setUint32(plain.length, 0, true)), /claims 0 bytes/],
    ["an empty entry", withTable(one, (file) => file.setUint32(plain.length, 8, true)), /claims 8 bytes/],
    [
      "a length beyond the table",
      withTable(one, (file) => file.setUint32(plain.length, 113, true)),
      /claims 113 bytes/,
    ],
    ["4 GiB", withTable(one, (file) => file.setUint32(plain.length, 0xffffffff, true)), /claims 4294967295 bytes/],
    [
      "a shorter length, so that more follows",
      withTable(one, (file) => file.setUint32(plain.length, 40, true)),
      /corrupt/,
    ],
    ["data in the padding", withTable(one, (file) => file.setUint8(file.byteLength - 1, 1)), /data in the padding/],
    ["revision 1.0", withTable(one, (file) => file.setUint16(plain.length + 4, 0x100, true)), /unknown revision 0x100/],
    ["half a header at the end", withTable(concat([one, new Uint8Array(4)])), /truncated or corrupt: entry 2/],
    ["a header of zeros at the end", withTable(concat([one, new Uint8Array(8)])), /claims 0 bytes, 8 are left/],
    [
      "bytes after the table",
      concat([withTable(one), new Uint8Array(8)]),
      /its certificate table ends at 5744, the file at 5752/,
    ],
    [
      "an odd place",
      withTable(concat([new Uint8Array(4), one]), (file, d) => {
        file.setUint32(d, plain.length + 4, true);
        file.setUint32(d + 4, one.length, true);
      }),
      /starts at 5636, which is not a multiple of 8/,
    ],
    [
      "65 entries",
      withTable(encodeCertificateTable(Array.from({ length: 65 }, () => entry(1)))),
      /more than 64 entries/,
    ],
    ["17 MiB", withTable(encodeCertificateTable([entry(17 << 20)])), /it has 17825800 bytes/],
  ])("refuses %s", (_, file, message) => {
    expect(() => read(file)).toThrow(message);
    expect(() => read(file)).toThrow(SealError);
    expect(() => read(file)).toThrow(/^x\.efi: /);
  });
});
