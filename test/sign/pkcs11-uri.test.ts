import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SealError } from "../../src/errors.ts";
import { isPkcs11Uri, parsePkcs11Uri } from "../../src/sign/pkcs11-uri.ts";

const bytes = (text: string) => new Uint8Array(Buffer.from(text));

describe("PKCS#11 URIs", () => {
  it("tell token, key, module and PIN", () => {
    const uri =
      "pkcs11:model=SoftHSM%20v2;manufacturer=A;serial=1f;token=Se%C3%A4l;slot-id=3;id=%00%aBx;object=db%3b1;type=private" +
      "?module-path=/usr/lib/x.so&pin-value=12%2634";
    expect(parsePkcs11Uri(uri)).toEqual({
      token: { model: "SoftHSM v2", manufacturer: "A", serial: "1f", token: "Seäl" },
      slotId: 3n,
      id: Uint8Array.of(0, 0xab, 0x78),
      object: bytes("db;1"),
      modulePath: "/usr/lib/x.so",
      pin: { kind: "value", bytes: bytes("12&34") },
      subject: uri.replace("12%2634", "…"),
    });
  });

  it("may leave out all", () => {
    expect(parsePkcs11Uri("pkcs11:")).toMatchObject({ token: {}, slotId: null, id: null, object: null, pin: null });
  });

  it.each([
    ["/run/pin", "/run/pin"],
    ["file:/run/pin", "/run/pin"],
    ["file:///run/pin", "/run/pin"],
    ["pin%20file", "pin file"],
  ])("name a file with the PIN: %s", (source, path) => {
    expect(parsePkcs11Uri(`pkcs11:?pin-source=${source}`).pin).toEqual({ kind: "file", path });
  });

  it("are known by their scheme", () => {
    expect(["pkcs11:", "PKCS11:token=x"].map(isPkcs11Uri)).toEqual([true, true]);
    expect(["", "pkcs11", "pkcs11.key", "./pkcs11:x"].map(isPkcs11Uri)).toEqual([false, false, false, false]);
  });

  it.each([
    ["pkcs11:colour=red", /"colour" is not one of token, /],
    ["pkcs11:token", /"token" is not one of/],
    ["pkcs11:token=a;token=b", /has token twice/],
    ["pkcs11:;token=a", /"" is not one of/],
    ["pkcs11:token=%4", /token has a % that is not followed/],
    ["pkcs11:token=%zz", /token has a %/],
    ["pkcs11:token=%ff", /token is not valid UTF-8/],
    ["pkcs11:type=public", /type=public is not a private key/],
    ["pkcs11:slot-id=0x1", /slot-id is not a decimal number/],
    ["pkcs11:?a?b", /two question marks/],
    ["pkcs11:?module-name=x", /"module-name" is not one of module-path/],
    ["pkcs11:?pin-source=%7Ccat", /pin-source is not a file/],
    ["pkcs11:?pin-source=a&pin-value=1", /both pin-value and pin-source/],
    ["pkcs11:pin-value=secret", /"pin-value" is not one of/],
  ])("are refused in one line: %s", (uri, message) => {
    expect(() => parsePkcs11Uri(uri)).toThrow(message);
    expect(() => parsePkcs11Uri(uri)).toThrow(expect.objectContaining({ code: "usage" }));
    expect(() => parsePkcs11Uri(uri)).not.toThrow(/secret|\n/);
  });

  it("give back the bytes that were encoded, and never crash", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), (id) => {
        const encoded = [...id].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
        expect(parsePkcs11Uri(`pkcs11:id=${encoded}`).id).toEqual(id);
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."token=id;?&%4pin-valuesource:/") }), (text) => {
        try {
          parsePkcs11Uri(`pkcs11:${text}`);
        } catch (error) {
          expect(error).toBeInstanceOf(SealError);
        }
      }),
    );
  });
});
