import { createPrivateKey } from "node:crypto";
import { describe, expect, it } from "vitest";
import { parseVariableUpdate } from "../../src/sign/authvar.ts";
import { compareTimes, efiTimeOf } from "../../src/sign/efi-time.ts";
import { knownGuid } from "../../src/sign/guid.ts";
import { createKeySet, type KeySetInput, publicKeyFiles } from "../../src/sign/keys.ts";
import { certificateList, parseSignatureLists } from "../../src/sign/siglist.ts";
import type { VectorKey } from "../support/signing.ts";
import { vector } from "../support/vectors.ts";

const material = (name: VectorKey, serial: number) => ({
  privateKey: createPrivateKey(vector(`authenticode/keys/${name}.key`)),
  serialNumber: Uint8Array.of(serial),
});
const input: KeySetInput = {
  commonName: "Example",
  time: new Date("2026-01-02T03:04:05Z"),
  days: 365,
  owner: knownGuid("11111111-2222-3333-4444-123456789abc"),
  keys: { PK: material("db4096", 1), KEK: material("db3072", 2), db: material("signer", 3) },
};
const set = await createKeySet(input);

describe("createKeySet", () => {
  it("makes three certificates, each alone in its signature list", () => {
    expect(set.keys.map(({ role, certificate }) => [role, certificate.subjectText])).toEqual([
      ["PK", "CN=Example PK"],
      ["KEK", "CN=Example KEK"],
      ["db", "CN=Example db"],
    ]);
    for (const { certificate, signatureList } of set.keys) {
      expect(parseSignatureLists(signatureList, "x.esl")).toEqual([certificateList(input.owner, certificate.der)]);
    }
  });

  it("has the updates of PK and KEK signed by PK, that of db by KEK", () => {
    const signers = set.keys.map(({ update }) => {
      const { signature } = parseVariableUpdate(update, "x.auth");
      return set.keys
        .filter(({ certificate }) => Buffer.from(signature).includes(Buffer.from(certificate.der)))
        .map(({ role }) => role);
    });
    expect(signers).toEqual([["PK"], ["PK"], ["KEK"]]);
  });

  it("holds the list as the new value, and nothing for the removal, which is later", () => {
    for (const { update, signatureList } of set.keys) {
      expect(parseVariableUpdate(update, "x.auth")).toMatchObject({
        time: efiTimeOf(input.time),
        value: signatureList,
      });
    }
    const removal = parseVariableUpdate(set.removePk, "noPK.auth");
    expect(removal.value).toHaveLength(0);
    expect(compareTimes(removal.time, efiTimeOf(input.time))).toBeGreaterThan(0);
  });

  it("gives the same bytes for the same input", async () => {
    expect(publicKeyFiles(await createKeySet(input))).toEqual(publicKeyFiles(set));
  });

  it("refuses keys that firmware refuses", async () => {
    const ec = { ...input.keys, db: material("ec", 4) };
    await expect(createKeySet({ ...input, keys: ec })).rejects.toThrow(/^db\.key: EC keys are refused/);
  });
});

describe("publicKeyFiles", () => {
  it("has the names that instructions for enrolling use", () => {
    const names = publicKeyFiles(set).map(({ name }) => name);
    const each = ["PK", "KEK", "db"].flatMap((role) => ["crt", "cer", "esl", "auth"].map((end) => `${role}.${end}`));
    expect(names).toEqual([...each, "noPK.auth", "GUID.txt"]);
    const text = (name: string) =>
      Buffer.from(publicKeyFiles(set).find((f) => f.name === name)?.bytes ?? []).toString();
    expect(text("GUID.txt")).toBe("11111111-2222-3333-4444-123456789abc\n");
    expect(text("db.crt")).toMatch(/^-----BEGIN CERTIFICATE-----\n[\s\S]+\n-----END CERTIFICATE-----\n$/);
  });
});
