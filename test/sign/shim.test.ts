import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SealError } from "../../src/errors.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { joinTrust } from "../../src/sign/join-trust.ts";
import { isShim, vendorTrust } from "../../src/sign/shim.ts";
import { certificateEsl } from "../support/databases.ts";
import { makePe } from "../support/pe.ts";
import { makeShim, shimWithLevels, vendorSection } from "../support/shim.ts";
import { vectorCertificate } from "../support/signing.ts";

const shim = (section: Uint8Array) => parsePe([makeShim({ ".vendor_cert": section })], "shimx64.efi");
const names = (section: Uint8Array) => {
  const { certificates, revoked } = vendorTrust(shim(section), "shim");
  return {
    allowed: certificates.map(({ subjectText }) => subjectText),
    revoked: revoked?.certificates.map(({ subjectText }) => subjectText) ?? null,
  };
};
const { der, subjectText } = vectorCertificate("signer");

describe("what a vendor put into shim", () => {
  it("is a certificate, or lists; and lists of what is revoked", () => {
    expect(names(vendorSection(der))).toEqual({ allowed: [subjectText], revoked: null });
    expect(names(vendorSection(certificateEsl("signer", "other"), certificateEsl("ca")))).toEqual({
      allowed: [subjectText, vectorCertificate("other").subjectText],
      revoked: [vectorCertificate("ca").subjectText],
    });
    expect(names(vendorSection(new Uint8Array()))).toEqual({ allowed: [], revoked: null });
  });

  it("is nothing in a program without such a section", () => {
    expect(vendorTrust(parsePe([shimWithLevels("sbat,1,1\n")], "shim"), "shim").certificates).toEqual([]);
    expect(isShim(parsePe([shimWithLevels("sbat,1,1\n")], "shim"))).toBe(true);
    expect(isShim(parsePe([makePe({ sections: [{ name: ".sbat", content: "x", address: 0x1000 }] })], "x"))).toBe(
      false,
    );
  });

  it.each([
    ["one that leads out of the section", vendorSection(der).fill(0xff, 0, 2), /shimx64|shim \(\.vendor_cert\)/],
    ["one whose offset does", vendorSection(der).fill(0xff, 8, 10), /vendor_cert/],
    ["no certificate", vendorSection(Buffer.from("no certificate at all")), /vendor_cert.*not a signature list/],
    ["a section that ends in its table", Buffer.alloc(8), /vendor_cert/],
  ])("is refused: %s", (_, section, message) => {
    expect(() => names(section)).toThrow(message);
  });

  it("never does worse than an error, whatever stands there", () => {
    const good = vendorSection(certificateEsl("signer"), certificateEsl("ca"));
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), (at, byte) => {
        const changed = Uint8Array.from(good).fill(byte, at, at + 1);
        try {
          names(changed);
        } catch (error) {
          expect(error).toBeInstanceOf(SealError);
        }
      }),
    );
  });
});

describe("what shim trusts", () => {
  it("is what firmware trusts and what is added; what anybody revokes is revoked", () => {
    const now = new Date(0);
    const firmware = { certificates: [vectorCertificate("ca")], now };
    const vendor = vendorTrust(shim(vendorSection(der, certificateEsl("other"))), "shim");
    const trust = joinTrust(firmware, [vendor]);
    expect(trust.certificates.map((one) => one.subjectText)).toEqual([
      vectorCertificate("ca").subjectText,
      subjectText,
    ]);
    expect(trust.revoked?.certificates).toHaveLength(1);
    expect(joinTrust(firmware, []).revoked).toBeUndefined();
  });
});
