/** Verdicts by db and dbx: each case is one that EDK II's DxeImageVerificationLib decides in this way. */
import { describe, expect, it } from "vitest";
import { concat } from "../../src/chunks.ts";
import { type AuthentihashAlgorithm, authentihash, firmwareImageHash } from "../../src/pe/authentihash.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { signPe } from "../../src/sign/authenticode.ts";
import { readDatabase } from "../../src/sign/database.ts";
import { signatureListsOf } from "../../src/sign/list-source.ts";
import { encodeSignatureLists } from "../../src/sign/siglist.ts";
import { type PeVerdict, verifyPe } from "../../src/sign/verify.ts";
import { ALGORITHMS, certificateEsl, certificateHashEsl, esl, IMAGE_HASH_TYPES, OWNER } from "../support/databases.ts";
import { type VectorKey, vectorSigner } from "../support/signing.ts";
import { vector } from "../support/vectors.ts";

const plain = vector("authenticode/pe/plain.efi.gz");
const signed = vector("authenticode/pe/signed-sbsign.efi.gz");
/** By "other" and by "signer". */
const twice = vector("authenticode/pe/signed-twice.efi.gz");

async function signWith(key: VectorKey, chain: readonly VectorKey[] = [], file: Uint8Array = plain) {
  return concat(
    (await signPe(parsePe([file], "x.efi"), vectorSigner(key, chain), { append: true, signingTime: null })).file,
  );
}

function judge(file: Uint8Array, db: Uint8Array, dbx: Uint8Array | null): PeVerdict {
  const allowed = readDatabase(db, "db.esl");
  return verifyPe(parsePe([file], "x.efi"), {
    certificates: allowed.certificates,
    imageHashes: allowed.imageHashes,
    now: new Date("2026-06-01T00:00:00Z"),
    ...(dbx === null ? {} : { revoked: readDatabase(dbx, "dbx.esl") }),
  });
}

const imageHash = (algorithm: AuthentihashAlgorithm, file: Uint8Array = plain) =>
  esl(IMAGE_HASH_TYPES[algorithm], authentihash(parsePe([file], "x"), algorithm));
const NOTHING = new Uint8Array();
const outcomes = (report: PeVerdict) => report.signatures.map(({ outcome }) => outcome);
const reasons = (report: PeVerdict) => report.signatures.map(({ reason }) => reason);

describe("db", () => {
  it("accepts by a certificate, of the signer or of its issuer", async () => {
    expect(judge(signed, certificateEsl("other", "signer"), null)).toMatchObject({
      valid: true,
      decision: null,
      signatures: [{ outcome: "trusted", trustedBy: "db.esl" }],
    });
    expect(judge(await signWith("leaf"), certificateEsl("ca"), null).valid).toBe(true);
    expect(judge(signed, certificateEsl("other"), null).valid).toBe(false);
    expect(judge(signed, NOTHING, null).valid).toBe(false);
  });

  it("accepts an unsigned file by its SHA-256 hash", () => {
    expect(judge(plain, imageHash("sha256"), null)).toEqual({
      valid: true,
      decision: "trusted: its SHA-256 hash is in db.esl",
      signatures: [],
    });
    expect(judge(plain, esl(IMAGE_HASH_TYPES.sha256, new Uint8Array(32)), null).valid).toBe(false);
  });

  it.each(["sha1", "sha384", "sha512"] as const)(
    "accepts an unsigned file by its %s hash, as OVMF does",
    (algorithm) => {
      const hash = imageHash(algorithm);
      const decision = `trusted: its ${algorithm.replace("sha", "SHA-")} hash is in db.esl`;
      const old = "; EDK II before 2023-11 looks for SHA-256 only";
      expect(judge(plain, hash, null)).toMatchObject({ valid: true, decision: `${decision}${old}` });
      // All firmware looks for this one.
      const both = judge(plain, Buffer.concat([hash, imageHash("sha256")]), null);
      expect(both.decision).toBe("trusted: its SHA-256 hash is in db.esl");
    },
  );

  it("accepts a signed file by the hash that its signature names, whoever signed", () => {
    expect(judge(signed, imageHash("sha256"), null)).toMatchObject({
      valid: true,
      decision: "trusted: its SHA-256 hash is in db.esl",
      signatures: [{ outcome: "untrusted" }],
    });
    expect(judge(signed, imageHash("sha384"), null).valid).toBe(false);
  });
});

/** A file without signatures whose length is not a multiple of 8. */
describe("the hash of a file whose length is odd", () => {
  const odd = vector("authenticode/pe/unaligned-end.efi.gz");
  const bare = esl(IMAGE_HASH_TYPES.sha256, firmwareImageHash(parsePe([odd], "x"), "sha256"));
  const padded = imageHash("sha256", odd);
  const why =
    "the SHA-256 hash in db.esl covers the zero padding that signing adds; EDK II hashes an unsigned file without padding";

  it("is that of the file as it is, in db", () => {
    expect(judge(odd, bare, null)).toMatchObject({ valid: true, decision: "trusted: its SHA-256 hash is in db.esl" });
    expect(judge(odd, padded, null)).toMatchObject({ valid: false, decision: `not trusted: ${why}` });
  });

  it("is that of the file as it is, in dbx", () => {
    expect(judge(odd, bare, bare)).toMatchObject({
      valid: false,
      decision: "revoked: its SHA-256 hash is in dbx.esl",
    });
    expect(judge(odd, bare, padded)).toMatchObject({
      valid: true,
      decision: `trusted: its SHA-256 hash is in db.esl; it is not revoked: ${why.replace("db.esl", "dbx.esl")}`,
    });
  });

  it("is the padded one as soon as it is signed", async () => {
    const file = await signWith("signer", [], odd);
    expect(judge(file, padded, null)).toMatchObject({
      valid: true,
      decision: "trusted: its SHA-256 hash is in db.esl",
    });
    expect(judge(file, bare, null)).toMatchObject({ valid: false, decision: null });
    expect(judge(file, certificateEsl("signer"), bare).valid).toBe(true);
    expect(judge(file, certificateEsl("signer"), padded).valid).toBe(false);
  });

  it("is looked up in both forms by what is revoked with seal", async () => {
    const both = encodeSignatureLists(signatureListsOf(odd, "x", { owner: OWNER, certificatesByHash: false }));
    expect(judge(odd, bare, both).valid).toBe(false);
    expect(judge(await signWith("signer", [], odd), certificateEsl("signer"), both).valid).toBe(false);
  });
});

describe("dbx", () => {
  it.each(ALGORITHMS)("refuses a file by its %s hash, before db is asked", (algorithm) => {
    const decision = `revoked: its ${algorithm.replace("sha", "SHA-")} hash is in dbx.esl`;
    const unseen = "; EDK II looks only for hashes of the algorithms that the signatures use (SHA-256), and misses it";
    expect(judge(signed, certificateEsl("signer"), imageHash(algorithm))).toMatchObject({
      valid: false,
      decision: algorithm === "sha256" ? decision : `${decision}${unseen}`,
    });
    expect(judge(plain, imageHash("sha256"), imageHash(algorithm))).toMatchObject({ valid: false, decision });
  });

  it("refuses by the signer's certificate, though it is in db too", () => {
    const report = judge(signed, certificateEsl("signer"), certificateEsl("other", "signer"));
    expect(report.valid).toBe(false);
    expect(outcomes(report)).toEqual(["revoked"]);
    expect(reasons(report)).toEqual(["CN=seal test db rsa2048 is revoked in dbx.esl"]);
  });

  it("refuses by an issuer's certificate what the issuer's other certificates sign", async () => {
    const report = judge(await signWith("leaf", ["ca"]), certificateEsl("leaf"), certificateEsl("ca"));
    expect(report.valid).toBe(false);
    expect(reasons(report)).toEqual([
      expect.stringMatching(/^CN=.* was issued by CN=.*, which is revoked in dbx\.esl$/),
    ]);
  });

  it.each(["sha256", "sha384", "sha512"] as const)(
    "refuses by the %s hash of the signer's certificate",
    (algorithm) => {
      const report = judge(signed, certificateEsl("signer"), certificateHashEsl("signer", algorithm));
      expect(report.valid).toBe(false);
      expect(reasons(report)).toEqual(["CN=seal test db rsa2048 is revoked by its hash in dbx.esl"]);
    },
  );

  it("takes a time of revocation as always, and says so", () => {
    const time = Uint8Array.from([0xea, 7, 1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0xff, 7, 0, 0]);
    const report = judge(signed, certificateEsl("signer"), certificateHashEsl("signer", "sha256", time));
    expect(reasons(report)).toEqual([
      "CN=seal test db rsa2048 is revoked by its hash in dbx.esl (since 2026-01-02; without trusted timestamps this means always)",
    ]);
    const impossible = certificateHashEsl("signer", "sha256", new Uint8Array(16).fill(0xff));
    expect(reasons(judge(signed, NOTHING, impossible))).toEqual([expect.stringContaining("(since 65535-25")]);
  });

  it("does not count a trusted issuer that is revoked by hash, which forbids no other signature", async () => {
    const leaf = await signWith("leaf", ["ca"]);
    const revoked = certificateHashEsl("ca");
    const report = judge(leaf, certificateEsl("ca"), revoked);
    expect(report.valid).toBe(false);
    expect(outcomes(report)).toEqual(["untrusted"]);
    expect(reasons(report)).toEqual([
      expect.stringMatching(/^it is trusted through CN=.*, which is revoked by its hash in dbx\.esl$/),
    ]);
    expect(judge(await signWith("signer", [], leaf), certificateEsl("ca", "signer"), revoked)).toMatchObject({
      valid: true,
      decision: null,
    });
    // The first certificate of db that a path leads to decides; here that is the leaf's own.
    expect(judge(leaf, certificateEsl("leaf", "ca"), revoked).valid).toBe(true);
  });

  it("one revoked signature forbids the file, wherever it stands", () => {
    for (const [trusted, revoked] of [
      ["signer", "other"],
      ["other", "signer"],
    ] as const) {
      for (const dbx of [certificateEsl(revoked), certificateHashEsl(revoked)]) {
        const report = judge(twice, certificateEsl(trusted), dbx);
        expect(report).toMatchObject({ valid: false, decision: expect.stringMatching(/^a revoked signature forbids/) });
        expect(outcomes(report).toSorted()).toEqual(["revoked", "trusted"]);
      }
    }
    expect(judge(twice, certificateEsl("signer"), certificateEsl("db3072")).valid).toBe(true);
    expect(judge(twice, imageHash("sha256"), certificateEsl("signer")).valid).toBe(false);
  });

  it("by hash forbids also invalid signatures, by certificate only valid ones", async () => {
    const broken = Uint8Array.from(signed);
    // The last byte of the signature, before the padding.
    const end = broken.findLastIndex((byte) => byte !== 0);
    broken[end] = (broken[end] ?? 0) ^ 1;
    const both = await signWith("other", [], broken);
    expect(outcomes(judge(both, certificateEsl("other"), certificateEsl("signer")))).toEqual(["invalid", "trusted"]);
    expect(judge(both, certificateEsl("other"), certificateEsl("signer")).valid).toBe(true);
    expect(judge(both, certificateEsl("other"), certificateHashEsl("signer")).valid).toBe(false);
  });

  it("that forbids something else changes nothing", () => {
    const dbx = concat([
      certificateEsl("db3072"),
      certificateHashEsl("db4096"),
      esl(IMAGE_HASH_TYPES.sha256, new Uint8Array(32)),
    ]);
    expect(judge(signed, certificateEsl("signer"), dbx)).toMatchObject({ valid: true, decision: null });
  });
});
