import { describe, expect, it } from "vitest";
import { parsePe } from "../../src/pe/headers.ts";
import { checkSigned } from "../../src/seal/signed-programs.ts";
import { signPe } from "../../src/sign/authenticode.ts";
import { readDatabase } from "../../src/sign/database.ts";
import type { Trust } from "../../src/sign/verify.ts";
import { certificateEsl } from "../support/databases.ts";
import { type VectorKey, vectorCertificate, vectorSigner } from "../support/signing.ts";
import { vector } from "../support/vectors.ts";

const NOBODY: Trust = { certificates: [], now: new Date("2026-01-01") };
const plain = vector("authenticode/pe/plain.efi.gz");

async function signed(key: VectorKey) {
  const options = { append: false, signingTime: null };
  return signPe(parsePe([plain], "x.efi"), vectorSigner(key), options);
}

const by = (key: VectorKey): Trust => ({ ...NOBODY, certificates: [vectorCertificate(key)] });

describe("checkSigned", () => {
  it("takes any good signature where nobody is named, and the right one where somebody is", async () => {
    const program = await signed("signer");
    for (const trust of [NOBODY, by("signer")]) expect(() => checkSigned(program, trust)).not.toThrow();
  });

  it("refuses what is not signed, by whomever", () => {
    const program = parsePe([plain], "x.efi");
    for (const trust of [NOBODY, by("signer")]) {
      expect(() => checkSigned(program, trust)).toThrow("x.efi: is not signed; sign it first");
    }
  });

  it("refuses somebody else's signature", async () => {
    const program = await signed("other");
    expect(() => checkSigned(program, by("signer"))).toThrow(
      /^x\.efi: is signed by CN=.*, whose certificate is not in --cert or --db$/,
    );
  });

  it("refuses what was changed after it was signed", async () => {
    const { file } = await signed("signer");
    const bytes = Buffer.concat([...file]);
    bytes[0x300] = (bytes[0x300] ?? 0) ^ 1;
    for (const trust of [NOBODY, by("signer")]) {
      expect(() => checkSigned(parsePe([bytes], "x.efi"), trust)).toThrow(
        "x.efi: its signature is invalid: the file was changed",
      );
    }
  });

  it("refuses what is revoked", async () => {
    const revoked = readDatabase(certificateEsl("signer"), "dbx");
    const program = await signed("signer");
    expect(() => checkSigned(program, { ...by("signer"), revoked })).toThrow("x.efi: firmware refuses it: ");
  });
});
