import { createPublicKey, verify } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toHex, utf8 } from "../../src/bytes.ts";
import { concat } from "../../src/chunks.ts";
import { SealError } from "../../src/errors.ts";
import { parseVariableUpdate, signedOctets, signVariableChange, type VariableChange } from "../../src/sign/authvar.ts";
import { calendarNote, compareTimes, efiTimeOf, encodeTime, timeText } from "../../src/sign/efi-time.ts";
import { vectorSigner } from "../support/signing.ts";
import { vector } from "../support/vectors.ts";

const change = {
  variable: "db",
  write: "replace",
  time: new Date("2026-01-02T03:04:05Z"),
  value: utf8("value"),
} satisfies VariableChange;
const good = await signVariableChange(change, vectorSigner("signer"));

describe("signVariableChange", () => {
  it("signs name, vendor, attributes, time and value", () => {
    expect(toHex(signedOctets(change))).toBe(
      [
        "64006200", // db, without a final NUL
        "cbb219d73a3d9645a3bcdad00e67656f", // EFI_IMAGE_SECURITY_DATABASE_GUID
        "27000000",
        "ea070102030405000000000000000000", // EFI_TIME
        toHex(utf8("value")),
      ].join(""),
    );
    const publicKey = createPublicKey(vector("authenticode/keys/signer.crt"));
    // The last 256 bytes of SignedData are the raw signature.
    const raw = parseVariableUpdate(good, "db.auth").signature.subarray(-256);
    expect(verify("sha256", signedOctets(change), publicKey, raw)).toBe(true);
  });

  it("has another vendor for PK and KEK, and another attribute for appending", () => {
    const other = toHex(signedOctets({ ...change, variable: "KEK", write: "append" }));
    expect(other).toMatch(/^4b0045004b0061dfe48bca93d211aa0d00e098032b8c67000000/);
  });

  it("comes back from its bytes, and holds SignedData where EDK II looks for SHA-256", () => {
    const update = parseVariableUpdate(good, "db.auth");
    expect(update.time).toEqual(efiTimeOf(change.time));
    expect(update.value).toEqual(change.value);
    expect(toHex(update.signature.subarray(13, 22))).toBe("608648016503040201");
    expect(toHex(good.subarray(20, 40))).toBe("0002f10e9dd2af4adf68ee498aa9347d375665a7");
  });

  it.each([
    ["month 0, as sbvarsign writes in January", [0, 31], "2026-00-31T03:04:05.000Z"],
    ["month 13", [13, 2], "2026-13-02T03:04:05.000Z"],
    ["31 February", [2, 31], "2026-02-31T03:04:05.000Z"],
  ])("takes %s, as firmware does, and notes it", (_, [month = 0, day = 0], text) => {
    const bytes = Uint8Array.from(good);
    bytes.set([month, day], 2);
    const { time } = parseVariableUpdate(bytes, "db.auth");
    expect(timeText(time)).toBe(text);
    expect(new Uint8Array(encodeTime(time))).toEqual(bytes.subarray(0, 16));
    expect(calendarNote(time)).toMatch(/^2026-\S+ is not a valid time; firmware only compares times/);
    expect(calendarNote(efiTimeOf(change.time))).toBeNull();
    expect(Math.sign(compareTimes(time, efiTimeOf(change.time)))).toBe(month === 0 ? -1 : 1);
  });

  it("deletes with an empty value", async () => {
    const bytes = await signVariableChange({ ...change, variable: "PK", value: new Uint8Array() }, vectorSigner("ca"));
    expect(parseVariableUpdate(bytes, "noPK.auth").value).toHaveLength(0);
  });
});

describe("hostile updates", () => {
  const patched = (offset: number, ...bytes: readonly number[]) => {
    const copy = Uint8Array.from(good);
    copy.set(bytes, offset);
    return copy;
  };

  /** With something behind SignedData that the length counts too. */
  const padded = () => {
    const end = good.length - change.value.length;
    const copy = Buffer.concat([good.subarray(0, end), Buffer.alloc(4), change.value]);
    copy.writeUInt32LE(end - 16 + 4, 16);
    return copy;
  };

  it.each([
    ["something behind the signature", padded(), /SignedData/],
    ["a time zone", patched(12, 1), /time zone or fractions/],
    ["nanoseconds", patched(8, 1), /time zone or fractions/],
    ["length beyond the file", patched(16, 0xff, 0xff, 0xff, 0xff), /the certificate needs bytes/],
    ["length 0", patched(16, 0, 0, 0, 0), /impossible certificate length 0/],
    ["length shorter than the signature", patched(16, 100, 0), /SignedData is longer/],
    ["length longer than the signature", patched(16, 0xff, 0), /SignedData/],
    ["another revision", patched(20, 1), /not a signed variable update/],
    ["Authenticode's type", patched(22, 2, 0), /not a signed variable update/],
    ["another GUID", patched(24, 0), /signed in an unknown way \(4aafd200-/],
  ])("%s: refused", (_, bytes, message) => {
    expect(() => parseVariableUpdate(bytes, "db.auth")).toThrow(message);
  });

  it("truncations before the value are refused by name", () => {
    for (let length = 0; length < good.length - change.value.length; length += 7) {
      expect(() => parseVariableUpdate(good.subarray(0, length), "db.auth")).toThrow(/^db\.auth: /);
    }
  });

  it("arbitrary bytes behind a good header give an update or an input error", () => {
    fc.assert(
      fc.property(fc.nat(200), fc.uint8Array(), (cut, bytes) => {
        try {
          parseVariableUpdate(concat([good.subarray(0, cut), bytes]), "db.auth");
        } catch (error) {
          expect(error).toBeInstanceOf(SealError);
        }
      }),
    );
  });
});
