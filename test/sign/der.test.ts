import fc from "fast-check";
import forge from "node-forge";
import { describe, expect, it } from "vitest";
import { fromHex, toHex } from "../../src/bytes.ts";
import { SealError } from "../../src/errors.ts";
import * as der from "../../src/sign/der.ts";

const { DerReader } = der;
const hex = (text: string) => fromHex(text) ?? new Uint8Array();
const reader = (text: string) => new DerReader(hex(text), "x");

describe("writing", () => {
  it.each([
    ["integer 0", der.integer(0), "020100"],
    ["integer 127", der.integer(127), "02017f"],
    ["integer 128 needs a zero in front", der.integer(128), "02020080"],
    ["integer 256", der.integer(256), "02020100"],
    ["integer from bytes with leading zeros", der.integer(hex("000001")), "020101"],
    ["integer from bytes with the high bit", der.integer(hex("ff")), "020200ff"],
    ["integer from no bytes", der.integer(hex("")), "020100"],
    ["true", der.boolean(true), "0101ff"],
    ["null", der.nullValue(), "0500"],
    ["octet string", der.octetString(hex("abcd")), "0402abcd"],
    ["bit string", der.bitString(hex("a0"), 5), "030205a0"],
    ["UTF-8", der.utf8String("é"), "0c02c3a9"],
    ["sequence", der.sequence(der.integer(1), der.nullValue()), "30050201010500"],
    ["set, sorted", der.setOf(hex("020102"), hex("0500"), hex("020101")), "31080201010201020500"],
    ["context", der.context(3, der.nullValue()), "a3020500"],
    ["object identifier", der.objectIdentifier("1.2.840.113549.1.7.2"), "06092a864886f70d010702"],
    ["object identifier below 2", der.objectIdentifier("2.999.3"), "0603883703"],
    ["time in this century", der.time(new Date("2026-01-02T03:04:05.678Z")), "170d3236303130323033303430355a"],
    ["time after 2049", der.time(new Date("2050-01-02T03:04:05Z")), "180f32303530303130323033303430355a"],
    ["time before 1950", der.time(new Date("1949-12-31T23:59:59Z")), "180f31393439313233313233353935395a"],
  ])("%s", (_, bytes, expected) => {
    expect(toHex(bytes)).toBe(expected);
  });

  it("uses the shortest length for every size", () => {
    for (const length of [0, 1, 127, 128, 255, 256, 65535, 65536, 1 << 20]) {
      const encoded = der.octetString(new Uint8Array(length));
      const read = new DerReader(encoded, "x").value(der.TAG.octetString, "it");
      expect(read.content.length).toBe(length);
      expect(forge.asn1.fromDer(forge.util.createBuffer(Buffer.from(encoded))).value).toHaveLength(length);
    }
  });

  it("agrees with forge on object identifiers and integers", () => {
    const arcs = fc.tuple(fc.integer({ min: 0, max: 2 }), fc.array(fc.nat(0xfffffff), { minLength: 1, maxLength: 8 }));
    fc.assert(
      fc.property(arcs, fc.nat(), ([root, [second = 0, ...rest]], value) => {
        const oid = [root, second % 40, ...rest].join(".");
        const encoded = der.objectIdentifier(oid);
        expect(toHex(encoded.subarray(2))).toBe(forge.asn1.oidToDer(oid).toHex());
        expect(new DerReader(encoded, "x").objectIdentifier("it")).toBe(oid);
        expect(new DerReader(der.integer(value), "x").smallInteger("it")).toBe(value);
      }),
    );
  });
});

describe("reading", () => {
  it("walks a structure and gives views, not copies", () => {
    const bytes = hex("300802010105000401aa");
    const outer = new DerReader(bytes, "x");
    const inner = outer.enter("it");
    outer.end("it");
    expect(inner.smallInteger("a number")).toBe(1);
    expect(inner.optional(der.TAG.octetString, "octets")).toBeNull();
    expect(inner.optional(der.TAG.null, "null")).not.toBeNull();
    const octets = inner.value(der.TAG.octetString, "octets");
    expect(octets.content.buffer).toBe(bytes.buffer);
    expect(toHex(octets.encoded)).toBe("0401aa");
    expect(inner.atEnd).toBe(true);
    expect(inner.nextTag).toBeNull();
  });

  it.each<[string, string, (input: InstanceType<typeof DerReader>) => unknown, RegExp]>([
    ["nothing", "", (r) => r.enter("it"), /it expected .* found nothing/],
    ["another tag", "0500", (r) => r.enter("it"), /it expected \(tag 0x30\), found 0x05/],
    ["a tag of several bytes", "1f810105", (r) => r.any("it"), /tag of several bytes/],
    ["no length", "30", (r) => r.any("it"), /truncated/],
    ["half a length", "308201", (r) => r.any("it"), /truncated/],
    ["contents that end too early", "3003020101".slice(0, -2), (r) => r.any("it"), /longer than its container/],
    ["an indefinite length", "30800000", (r) => r.any("it"), /indefinite/],
    ["a long form for a short length", "30810100", (r) => r.any("it"), /not minimal/],
    ["a length with a leading zero", `30820080${"00".repeat(128)}`, (r) => r.any("it"), /not minimal/],
    ["a length of five bytes", "30850100000000", (r) => r.any("it"), /impossible length/],
    ["a length of 4 GiB", "3084ffffffff", (r) => r.any("it"), /longer than its container/],
    ["a value after the last", "05000500", (r) => [r.any("it"), r.end("it")], /unexpected data at the end of it/],
    ["an integer of no bytes", "0200", (r) => r.integer("it"), /as few bytes/],
    ["a padded integer", "02020001", (r) => r.integer("it"), /as few bytes/],
    ["a padded negative integer", "0202ff80", (r) => r.integer("it"), /as few bytes/],
    ["a negative version", "0201ff", (r) => r.smallInteger("it"), /out of range/],
    ["a huge version", "02050100000000", (r) => r.smallInteger("it"), /out of range/],
    ["an empty object identifier", "0600", (r) => r.objectIdentifier("it"), /object identifier/],
    ["a padded arc", "06038001aa".slice(0, 10), (r) => r.objectIdentifier("it"), /object identifier/],
    ["an unfinished arc", "06022a86", (r) => r.objectIdentifier("it"), /object identifier/],
    ["an endless arc", `0620${"ff".repeat(31)}7f`, (r) => r.objectIdentifier("it"), /object identifier/],
    ["a 13th month", `170d${Buffer.from("261302030405Z").toString("hex")}`, (r) => r.time("it"), /not a valid time/],
    [
      "a 30th of February",
      `170d${Buffer.from("260230030405Z").toString("hex")}`,
      (r) => r.time("it"),
      /not a valid time/,
    ],
    ["a time zone", `1711${Buffer.from("260102030405+0100").toString("hex")}`, (r) => r.time("it"), /not a valid time/],
    ["no seconds", `170b${Buffer.from("2601020304Z").toString("hex")}`, (r) => r.time("it"), /not a valid time/],
    ["text as time", "0c0161", (r) => r.time("it"), /not a valid time/],
  ])("refuses %s", (_, input, read, message) => {
    expect(() => read(reader(input))).toThrow(message);
    expect(() => read(reader(input))).toThrow(SealError);
  });

  it.each([
    "1950-01-01T00:00:00Z",
    "1999-12-31T23:59:59Z",
    "2026-02-28T12:00:00Z",
    "2049-12-31T23:59:59Z",
    "2400-02-29T00:00:00Z",
  ])("reads %s back", (text) => {
    expect(new DerReader(der.time(new Date(text)), "x").time("it")).toEqual(new Date(text));
  });

  it("never fails in any other way, and reads nothing that it would not write", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const input = new DerReader(bytes, "x");
        try {
          while (!input.atEnd) {
            const { tag, content, encoded } = input.any("it");
            expect(toHex(der.encodeValue(tag, content))).toBe(toHex(encoded));
          }
        } catch (error) {
          expect(error).toBeInstanceOf(SealError);
        }
      }),
    );
  });
});
