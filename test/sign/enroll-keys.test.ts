import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import type { SecureBootVariable } from "../../src/sign/authvar.ts";
import { readEnrollKeys } from "../../src/sign/enroll-keys.ts";
import { enrolledTrust, signerRefusal } from "../../src/sign/enrolled-trust.ts";
import { certificateEsl, certificateHashEsl, esl, IMAGE_HASH_TYPES, ODD_LISTS } from "../support/databases.ts";
import { keySet, keyUpdate } from "../support/key-sets.ts";
import { vectorCertificate } from "../support/signing.ts";
import { vector } from "../support/vectors.ts";

const GOOD = await keySet();
const read = (files: ReadonlyMap<SecureBootVariable, Uint8Array>) => readEnrollKeys(files, (name) => `${name}.auth`);
const readWith = (variable: SecureBootVariable, bytes: Uint8Array) => read(new Map(GOOD).set(variable, bytes));
/** `db error: is empty: firmware refuses it` */
const problems = (variable: SecureBootVariable, bytes: Uint8Array) =>
  readWith(variable, bytes).problems.map((one) => `${one.variable} ${one.severity}: ${one.message}`);

/** A byte of a file changed. */
function changed(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] = value;
  return copy;
}

const attributes = (bytes: Uint8Array) => Buffer.concat([Buffer.of(0x27, 0, 0, 0), bytes]);
const db = GOOD.get("db") ?? new Uint8Array();

describe("readEnrollKeys", () => {
  it("has nothing to say about a set that fits", async () => {
    expect(read(GOOD).problems).toEqual([]);
    expect(readWith("dbx", await keyUpdate("dbx", "leaf")).problems).toEqual([]);
    const issued = await keyUpdate("KEK", certificateEsl("db3072", "ca"));
    expect(read(new Map(GOOD).set("KEK", issued)).problems).toEqual([]);
  });

  it("wants PK, KEK and db", () => {
    const { problems } = read(new Map());
    expect(problems.map(({ variable, severity }) => `${variable} ${severity}`)).toEqual([
      "PK error",
      "KEK error",
      "db error",
    ]);
  });

  it.each<[string, Uint8Array | (() => Promise<Uint8Array>), RegExp]>([
    [
      "a web page",
      utf8("<html><body>Not found</body></html>"),
      /^db error: is not a signed variable update \(.*\): firmware refuses it$/,
    ],
    ["nothing", new Uint8Array(), /^db error: is empty/],
    ["a bare list", certificateEsl("signer"), /^db error: is a bare signature list/],
    ["a bare list with PEM in it", ODD_LISTS, /^db error: is a bare signature list/],
    ["what efivarfs shows of an update", attributes(db), /^db error: starts with the 4 bytes of attributes/],
    [
      "what efivarfs shows of a variable",
      attributes(certificateEsl("signer")),
      /^db error: is the value of a variable/,
    ],
    ["a certificate", vector("authenticode/keys/signer.crt"), /^db error: is a certificate or key/],
    ["another variable's update", GOOD.get("KEK") ?? new Uint8Array(), /^db error: is an update of KEK, not of db/],
    ["an update that ends early", db.subarray(0, 60), /^db error: is not a signed variable update/],
    [
      "an update that sets no lists",
      () => keyUpdate("db", utf8("value")),
      /^db error: would set db to a value that is not signature lists/,
    ],
    ["an update that deletes", () => keyUpdate("db", new Uint8Array()), /^db error: would delete db/],
    [
      "a key that is not RSA",
      () => keyUpdate("db", "ec"),
      /^db error: contains a certificate with a key \(EC.*\) that firmware refuses/,
    ],
    [
      "an update for appending",
      () => keyUpdate("db", "signer", { write: "append" }),
      /^db warning: is signed for appending/,
    ],
    ["a changed update", changed(db, db.length - 1, 0), /^db (warning|error): /],
    [
      "somebody else's update",
      () => keyUpdate("db", "signer", { signer: "leaf" }),
      /^db warning: is not signed by a key of KEK\.auth, but by CN=/,
    ],
    [
      "nothing that starts",
      () => keyUpdate("db", certificateHashEsl("signer")),
      /^db warning: contains no certificate and no hash/,
    ],
  ])("knows %s", async (_, content, says) => {
    const bytes = typeof content === "function" ? await content() : content;
    expect(problems("db", bytes)).toEqual([expect.stringMatching(says)]);
  });

  it("holds the platform key to what firmware checks in setup mode: its signature", async () => {
    for (const [bytes, says] of [
      [await keyUpdate("PK", "other", { write: "append" }), /^PK error: is signed for appending/],
      [await keyUpdate("PK", "other", { signer: "leaf" }), /^PK error: is not signed by the key in it/],
      [await keyUpdate("PK", certificateEsl("other", "ca")), /^PK error: is not exactly one certificate/],
      [changed(GOOD.get("PK") ?? db, 200, 0), /^PK error: has a signature that/],
    ] as const) {
      expect(problems("PK", bytes)[0]).toMatch(says);
    }
  });
});

describe("signerRefusal", () => {
  const [signer, other, leaf, ca] = (["signer", "other", "leaf", "ca"] as const).map(vectorCertificate);
  if (signer === undefined || other === undefined || leaf === undefined || ca === undefined) throw new Error("no keys");

  it("wants the signer in db, or its issuer", async () => {
    expect(signerRefusal(read(GOOD), signer, [])).toBeNull();
    expect(signerRefusal(read(GOOD), other, [])).toMatch(/^does not allow the signer CN=.* \(it contains CN=/);
    const issuer = readWith("db", await keyUpdate("db", "ca"));
    expect(signerRefusal(issuer, leaf, [])).toBeNull();
  });

  it("looks into dbx", async () => {
    const revoked = readWith("dbx", await keyUpdate("dbx", certificateHashEsl("signer")));
    expect(signerRefusal(revoked, signer, [])).toMatch(/dbx that forbids the signer: CN=.* is revoked by its hash/);
  });

  it("leaves it to the programs where db allows some by their hash", async () => {
    const value = Buffer.concat([certificateEsl("signer"), esl(IMAGE_HASH_TYPES.sha256, new Uint8Array(32))]);
    const hashed = readWith("db", await keyUpdate("db", value));
    expect(signerRefusal(hashed, other, [])).toBeNull();
    expect(enrolledTrust(hashed, new Date())?.imageHashes).toHaveLength(1);
  });
});
