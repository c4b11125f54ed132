import { describe, expect, it } from "vitest";
import { parsePe } from "../../src/pe/headers.ts";
import { joinPcrsig } from "../../src/pe/join-pcrsig.ts";
import { makeUki, signed } from "../support/lint.ts";

const join = (bytes: Uint8Array) =>
  joinPcrsig(parsePe([bytes], "uki.efi"), { signatures: {}, subject: "signed.json" }, () => ({}));

describe("joinPcrsig", () => {
  it("refuses a UKI that is signed, for its signature would be good no more", async () => {
    const bytes = await signed(makeUki({}));
    expect(() => join(bytes)).toThrow("uki.efi: is signed for Secure Boot; join the PCR signatures first, then sign");
  });

  it("refuses a UKI that was not built for it", () => {
    expect(() => join(makeUki({}))).toThrow(
      "uki.efi: has no .pcrsig section. Build it with: seal build-uki --policy-digest",
    );
  });
});
