import { createPrivateKey, sign as rawSign } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import { concat } from "../../src/chunks.ts";
import { SealError } from "../../src/errors.ts";
import {
  parseVariableUpdate,
  SECURE_BOOT_VARIABLES,
  signedOctets,
  signVariableChange,
  type VariableChange,
} from "../../src/sign/authvar.ts";
import { octetString } from "../../src/sign/der.ts";
import { efiTimeOf } from "../../src/sign/efi-time.ts";
import { knownGuid } from "../../src/sign/guid.ts";
import { OID } from "../../src/sign/oids.ts";
import { contentInfo, type SignedDataInput, signedData } from "../../src/sign/pkcs7.ts";
import { identifyUpdate, type UpdateVerdict } from "../../src/sign/update-signature.ts";
import { vectorSigner } from "../support/signing.ts";
import { vector } from "../support/vectors.ts";

const signer = vectorSigner("signer");
const change = {
  variable: "db" as const,
  write: "replace" as const,
  time: new Date("2026-01-02T03:04:05Z"),
  value: utf8("value"),
} satisfies VariableChange;
const good = await signVariableChange(change, signer);
const identify = (bytes: Uint8Array): UpdateVerdict => identifyUpdate(parseVariableUpdate(bytes, "x.auth"), "x.auth");

/** An update whose signature is this message. */
async function withMessage(input: Partial<SignedDataInput>, wrap = (message: Uint8Array) => message) {
  const base = { contentType: OID.data, content: null, signedOctets: signedOctets(change), attributes: null, signer };
  return {
    time: efiTimeOf(change.time),
    signature: wrap(await signedData({ ...base, ...input })),
    value: change.value,
  };
}

describe("identifyUpdate", () => {
  it.each(SECURE_BOOT_VARIABLES.flatMap((variable) => [[variable, "replace"] as const, [variable, "append"] as const]))(
    "finds out that an update is for %s, to %s",
    async (variable, write) => {
      const report = identify(await signVariableChange({ ...change, variable, write }, signer));
      expect(report).toMatchObject({ purpose: { variable, write }, problem: null });
      expect(report.signer?.subjectText).toBe("CN=seal test db rsa2048");
    },
  );

  it("knows updates whose time is not one of the calendar", async () => {
    const time = { year: 2026, month: 0, day: 31, hour: 1, minute: 2, second: 3 };
    const report = identify(await signVariableChange({ ...change, time }, signer));
    expect(report.purpose).toEqual({ variable: "db", write: "replace" });
  });

  it("knows no other variables, and says so", async () => {
    const variable = { name: "MokList", vendor: knownGuid("605dab50-e046-4300-abb6-3dd810dd8b23") };
    expect(identify(await signVariableChange({ ...change, variable }, signer))).toMatchObject({
      purpose: null,
      problem:
        "it does not sign an update of PK, KEK, db, dbx: the signature does not verify with the signer's certificate",
    });
  });

  it("takes signatures in a ContentInfo and with signed attributes, as some tools write them", async () => {
    for (const update of [
      await withMessage({}, contentInfo),
      await withMessage({ attributes: [] }),
      await withMessage({ attributes: [] }, contentInfo),
    ]) {
      expect(identifyUpdate(update, "x.auth").purpose).toEqual({ variable: "db", write: "replace" });
    }
  });

  it.each<[string, Partial<SignedDataInput>, RegExp]>([
    ["that brings its content", { content: octetString(signedOctets(change)) }, /contains its own content/],
    ["of another kind", { contentType: OID.spcIndirectData }, /another type of content/],
  ])("refuses a signature %s", async (_, input, message) => {
    const update = await withMessage(input);
    expect(() => identifyUpdate(update, "x.auth")).toThrow(message);
  });

  it("refuses a signature by another key than the certificate's", async () => {
    const key = createPrivateKey(vector("authenticode/keys/other.key"));
    const update = await withMessage({ signer: { ...signer, sign: async (data) => rawSign("sha256", data, key) } });
    expect(identifyUpdate(update, "x.auth").problem).toMatch(/does not verify/);
  });

  it("notices every changed byte but some of the certificate, whose own signature only counts for who trusts it", () => {
    const start = Buffer.from(good).indexOf(signer.certificate.der);
    const end = start + signer.certificate.der.length;
    const unnoticed: number[] = [];
    for (let offset = 0; offset < good.length; offset++) {
      const changed = Uint8Array.from(good);
      changed[offset] = (changed[offset] ?? 0) ^ (1 + (offset % 255));
      try {
        if (identify(changed).purpose !== null) unnoticed.push(offset);
      } catch (error) {
        expect(error).toBeInstanceOf(SealError);
      }
    }
    expect(start).toBeGreaterThan(0);
    expect(unnoticed.filter((offset) => offset < start || offset >= end)).toEqual([]);
  });

  it("never fails in any other way than with a reason", () => {
    const edits = fc.array(fc.tuple(fc.nat(good.length), fc.uint8Array({ maxLength: 6 }), fc.nat(6)), { minLength: 1 });
    fc.assert(
      fc.property(edits, (list) => {
        const bytes = list.reduce<Uint8Array>(
          (file, [at, insert, drop]) => concat([file.subarray(0, at), insert, file.subarray(at + drop)]),
          good,
        );
        try {
          const update = parseVariableUpdate(bytes, "x.auth");
          if (identifyUpdate(update, "x.auth").purpose === null) return;
          expect([update.time, update.value]).toEqual([efiTimeOf(change.time), change.value]);
        } catch (error) {
          expect(error).toBeInstanceOf(SealError);
        }
      }),
      { numRuns: 300 },
    );
  });
});
