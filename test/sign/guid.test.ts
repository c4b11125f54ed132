import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toHex } from "../../src/bytes.ts";
import { decodeGuid, encodeGuid, knownGuid, parseGuid } from "../../src/sign/guid.ts";

describe("GUIDs", () => {
  it("are mixed-endian", () => {
    // EFI_GLOBAL_VARIABLE as the specification's C initialiser lays it out.
    const guid = knownGuid("8BE4DF61-93CA-11d2-AA0D-00E098032B8C");
    expect(guid).toBe("8be4df61-93ca-11d2-aa0d-00e098032b8c");
    expect(toHex(encodeGuid(guid))).toBe("61dfe48bca93d211aa0d00e098032b8c");
  });

  it("come back from their bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        expect(encodeGuid(decodeGuid(bytes))).toEqual(bytes);
        expect(parseGuid(decodeGuid(bytes).toUpperCase())).toBe(decodeGuid(bytes));
      }),
    );
  });

  it("refuse everything else", () => {
    const bad = ["", "8be4df61", "{8be4df61-93ca-11d2-aa0d-00e098032b8c}", "8be4df61-93ca-11d2-aa0d-00e098032b8g"];
    for (const text of [...bad, "8be4df61-93ca-11d2-aa0d-00e098032b8c\n"]) expect(parseGuid(text)).toBeNull();
    expect(() => knownGuid("x")).toThrow(RangeError);
    expect(() => decodeGuid(new Uint8Array(15))).toThrow(RangeError);
  });
});
