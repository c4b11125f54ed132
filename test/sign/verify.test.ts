import { createHash, createPrivateKey, sign as rawSign } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { alignUp } from "../../src/bytes.ts";
import { concat } from "../../src/chunks.ts";
import { SealError } from "../../src/errors.ts";
import { authentihash, uncoveredRanges } from "../../src/pe/authentihash.ts";
import { encodeCertificateTable } from "../../src/pe/certtable.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { algorithm } from "../../src/sign/algorithms.ts";
import { signPe } from "../../src/sign/authenticode.ts";
import { parseCertificate } from "../../src/sign/certificate.ts";
import { readDatabase } from "../../src/sign/database.ts";
import {
  context,
  encodeValue,
  integer,
  nullValue,
  objectIdentifier,
  octetString,
  sequence,
  setOf,
} from "../../src/sign/der.ts";
import { encodeIndirectData } from "../../src/sign/indirect-data.ts";
import { OID } from "../../src/sign/oids.ts";
import { contentInfo, signedData } from "../../src/sign/pkcs7.ts";
import { type PeVerdict, type Trust, verifyPe } from "../../src/sign/verify.ts";
import { certificateEsl } from "../support/databases.ts";
import { AUTHENTICODE_VECTORS, type VectorKey, vectorCertificate, vectorSigner } from "../support/signing.ts";
import { vector } from "../support/vectors.ts";

const NOW = new Date("2026-06-01T00:00:00Z");
const trust = (...names: VectorKey[]): Trust => ({
  certificates: names.map(vectorCertificate),
  now: NOW,
});
const plain = vector("authenticode/pe/plain.efi.gz");
const signed = vector("authenticode/pe/signed-sbsign.efi.gz");
const verify = (file: Uint8Array, ...names: VectorKey[]) => verifyPe(parsePe([file], "x.efi"), trust(...names));

async function signWith(key: VectorKey, chain: readonly VectorKey[] = []): Promise<Uint8Array> {
  return concat(
    (await signPe(parsePe([plain], "x.efi"), vectorSigner(key, chain), { append: false, signingTime: null })).file,
  );
}

/** The plain image with these PKCS#7 messages as its signatures. */
function attach(...messages: readonly Uint8Array[]): Uint8Array {
  const table = encodeCertificateTable(
    messages.map((message) => ({
      type: 2,
      data: concat([message, new Uint8Array(alignUp(message.length, 8) - message.length)]),
    })),
  );
  const file = concat([plain, table]);
  const directory = parsePe([plain], "x").securityDirectoryOffset ?? 0;
  new DataView(file.buffer).setUint32(directory, plain.length, true);
  new DataView(file.buffer).setUint32(directory + 4, table.length, true);
  return file;
}

const only = (report: PeVerdict) => {
  expect(report.signatures).toHaveLength(1);
  return report.signatures[0];
};

describe("verifyPe: files that other tools signed", () => {
  it.each(AUTHENTICODE_VECTORS.signed.map((entry) => [entry.file, entry] as const))("%s", (file, entry) => {
    const bytes = vector(`authenticode/${file}`);
    const name = /keys\/(.*)\.crt/.exec(entry.certificate)?.[1] as VectorKey;
    const report = verify(bytes, name);
    expect(report.valid).toBe(entry.digest_matches_firmware);
    expect(only(report)).toMatchObject({
      outcome: entry.digest_matches_firmware ? "trusted" : "invalid",
      reason: entry.digest_matches_firmware ? null : expect.stringMatching(/^the file was changed after it was signed/),
      digestAlgorithm: "sha256",
      signingTime: new Date(entry.signing_time),
    });
    expect(only(report)?.subject).toMatch(/^CN=seal test db rsa\d{4}$/);
    expect(only(verify(bytes, "other"))?.outcome).toBe(entry.digest_matches_firmware ? "untrusted" : "invalid");
  });
});

describe("verifyPe: who is trusted", () => {
  it("finds nothing in an unsigned file", () => {
    expect(verify(plain, "signer")).toEqual({ valid: false, decision: null, signatures: [] });
  });

  it("without certificates says that it checked against none", () => {
    expect(only(verify(signed))).toMatchObject({
      outcome: "untrusted",
      reason: "not checked against any certificate",
      key: "RSA-2048",
      trustedBy: null,
    });
  });

  it("names the certificate that it trusts", () => {
    expect(only(verify(signed, "other", "signer"))).toMatchObject({ outcome: "trusted", trustedBy: "signer.crt" });
    expect(only(verify(signed, "other"))?.reason).toBe(
      "CN=seal test db rsa2048 is not a trusted certificate, nor issued by one",
    );
  });

  it("one trusted signature of several is enough", () => {
    const twice = vector("authenticode/pe/signed-twice.efi.gz");
    const report = verify(twice, "signer");
    expect(report.valid).toBe(true);
    expect(report.signatures.map(({ outcome }) => outcome).toSorted()).toEqual(["trusted", "untrusted"]);
  });

  it.each<[string, VectorKey[], VectorKey, string]>([
    ["the issuer, included", ["ca"], "ca", "trusted"],
    ["the issuer, not included", [], "ca", "trusted"],
    ["the leaf itself", ["ca"], "leaf", "trusted"],
    ["neither", ["ca"], "other", "untrusted"],
  ])("leaf under a CA, trusting %s", async (_, chain, name, outcome) => {
    expect(only(verify(await signWith("leaf", chain), name))?.outcome).toBe(outcome);
  });

  it("an issuer's name alone is not an issuer", () => {
    // Signed by the leaf, whose issuer has the right name but, after one changed byte, another key.
    const ca = vectorCertificate("ca");
    const der = Uint8Array.from(ca.der);
    const at = Buffer.from(der).indexOf(Buffer.from("02820101", "hex")) + 40;
    der[at] = (der[at] ?? 0) ^ 4;
    return signWith("leaf").then((file) => {
      const certificates = [parseCertificate({ der, label: "ca" })];
      expect(only(verifyPe(parsePe([file], "x"), { certificates, now: NOW }))?.outcome).toBe("untrusted");
    });
  });

  it("an expired certificate is trusted, as firmware does, and that is said", () => {
    const late = verifyPe(parsePe([signed], "x"), { ...trust("signer"), now: new Date("2046-01-01T00:00:00Z") });
    expect(only(late)).toMatchObject({
      outcome: "trusted",
      notes: [
        "the certificate CN=seal test db rsa2048 expired on 2045-01-01: firmware still accepts it, other tools may not",
      ],
    });
    const early = verifyPe(parsePe([signed], "x"), { ...trust("signer"), now: new Date("2024-01-01T00:00:00Z") });
    expect(only(early)?.notes).toEqual([expect.stringMatching(/is not valid before 2025-01-01:/)]);
  });
});

describe("verifyPe: signatures that lie", () => {
  const digest = authentihash(parsePe([plain], "x"), "sha256");
  const content = encodeIndirectData(digest);
  const base = {
    contentType: OID.spcIndirectData as string,
    content,
    signedOctets: content.subarray(2),
    attributes: [],
    signer: vectorSigner("signer"),
  };
  const build = async (change: Partial<Parameters<typeof signedData>[0]>) =>
    attach(contentInfo(await signedData({ ...base, ...change })));

  /** A message of parts, for what the builder would never write. */
  const key = createPrivateKey(vector("authenticode/keys/signer.key"));
  const ecKey = createPrivateKey(vector("authenticode/keys/ec.key"));
  function compose(change: {
    version?: number;
    contentType?: string;
    declared?: string;
    image?: Uint8Array;
    signerDigest?: string;
    signatureAlgorithm?: Uint8Array;
    attributes?: readonly Uint8Array[];
    certificates?: readonly Uint8Array[];
    certificate?: VectorKey;
    signature?: (attributes: Uint8Array) => Uint8Array;
    signers?: number;
    trailing?: Uint8Array;
    filler?: number;
  }): Uint8Array {
    const name = change.certificate ?? "signer";
    const certificate = vectorCertificate(name);
    const image = change.image ?? content;
    const digestBytes = change.attributes ?? signedAttributes(image);
    const attributes = setOf(...digestBytes);
    const info = sequence(
      integer(1),
      sequence(certificate.issuer, certificate.serialNumber),
      algorithm(change.signerDigest ?? OID.sha256),
      ...(digestBytes.length === 0 ? [] : [encodeValue(0xa0, ...digestBytes.toSorted(Buffer.compare))]),
      change.signatureAlgorithm ?? algorithm(OID.rsaEncryption),
      octetString(change.signature?.(attributes) ?? rawSign("sha256", attributes, key)),
      ...(change.filler === undefined
        ? []
        : [encodeValue(0xa1, attribute("1.2.3.4", octetString(new Uint8Array(change.filler))))]),
    );
    const message = sequence(
      integer(change.version ?? 1),
      setOf(algorithm(change.declared ?? OID.sha256)),
      sequence(objectIdentifier(change.contentType ?? OID.spcIndirectData), context(0, image)),
      context(0, ...(change.certificates ?? [certificate.der])),
      encodeValue(0x31, ...Array.from({ length: change.signers ?? 1 }, () => info)),
    );
    return attach(concat([contentInfo(message), change.trailing ?? new Uint8Array()]));
  }

  function attribute(type: string, ...values: readonly Uint8Array[]): Uint8Array {
    return sequence(objectIdentifier(type), encodeValue(0x31, ...values));
  }
  function signedAttributes(image: Uint8Array): Uint8Array[] {
    const hash = createHash("sha256").update(image.subarray(2)).digest();
    return [
      attribute(OID.contentType, objectIdentifier(OID.spcIndirectData)),
      attribute(OID.messageDigest, octetString(hash)),
    ];
  }

  it("is about good ones, to begin with", async () => {
    expect(only(verify(await build({}), "signer"))?.outcome).toBe("trusted");
    expect(only(verify(compose({}), "signer"))?.outcome).toBe("trusted");
    const named = compose({ signatureAlgorithm: algorithm("1.2.840.113549.1.1.11") });
    expect(only(verify(named, "signer"))?.outcome).toBe("trusted");
  });

  it("takes the type that pesign up to 0.112 wrote, and says so", async () => {
    const image = encodeIndirectData(digest, "empty", "key purpose");
    const file = compose({ image, attributes: signedAttributes(image) });
    expect(only(verify(file, "signer"))).toMatchObject({
      outcome: "trusted",
      notes: [expect.stringContaining("1.3.6.1.4.1.311.2.1.21 (individual code signing)")],
    });
    // It is not malformed, so that a dbx that names others does not forbid it.
    const revoked = readDatabase(certificateEsl("db3072"), "dbx.esl");
    expect(verifyPe(parsePe([file], "x"), { ...trust("signer"), revoked }).valid).toBe(true);
    const forbidden = readDatabase(certificateEsl("signer"), "dbx.esl");
    expect(only(verifyPe(parsePe([file], "x"), { ...trust("signer"), revoked: forbidden }))?.outcome).toBe("revoked");
    const other = encodeIndirectData(new Uint8Array(32), "empty", "key purpose");
    expect(only(verify(compose({ image: other, attributes: signedAttributes(other) }), "signer"))?.reason).toMatch(
      /changed after it was signed/,
    );
  });

  const sha1 = sequence(
    sequence(objectIdentifier(OID.spcPeImageData), sequence()),
    sequence(algorithm(OID.sha1), octetString(authentihash(parsePe([plain], "x"), "sha1"))),
  );
  it("is not fooled by signatures that are weak, but that firmware takes: dbx forbids the file for them", async () => {
    const hash = createHash("sha1").update(sha1.subarray(2)).digest();
    const attributes = [
      attribute(OID.contentType, objectIdentifier(OID.spcIndirectData)),
      attribute(OID.messageDigest, octetString(hash)),
    ];
    const signature = (bytes: Uint8Array) => rawSign("sha1", bytes, key);
    const weak = compose({ declared: OID.sha1, image: sha1, signerDigest: OID.sha1, attributes, signature });
    const file = concat(
      (await signPe(parsePe([weak], "x.efi"), vectorSigner("other"), { append: true, signingTime: null })).file,
    );
    const judged = (dbx: VectorKey) =>
      verifyPe(parsePe([file], "x"), { ...trust("other"), revoked: readDatabase(certificateEsl(dbx), "dbx.esl") });
    expect(judged("signer")).toMatchObject({
      valid: false,
      decision: expect.stringMatching(/^a revoked signature forbids the file/),
      signatures: [{ outcome: "revoked" }, { outcome: "trusted" }],
    });
    expect(judged("db3072")).toMatchObject({
      valid: true,
      signatures: [
        { outcome: "invalid", reason: expect.stringMatching(/SHA-1, which is broken/) },
        { outcome: "trusted" },
      ],
    });
  });

  it("does not count signatures that firmware passes over, and takes those that it can't read for forbidden", async () => {
    expect(only(verify(compose({ filler: 1000 }), "signer"))?.outcome).toBe("trusted");
    // Its length takes three bytes, and the digest algorithm is not at byte 32.
    const large = verify(compose({ filler: 70_000 }), "signer");
    expect(large).toMatchObject({ valid: false, signatures: [{ outcome: "invalid" }] });
    expect(only(large)?.reason).toMatch(/^firmware ignores it/);
    const broken = compose({ version: 9 });
    const file = concat(
      (await signPe(parsePe([broken], "x.efi"), vectorSigner("other"), { append: true, signingTime: null })).file,
    );
    expect(verifyPe(parsePe([file], "x"), trust("other"))).toMatchObject({ valid: true });
    const revoked = readDatabase(certificateEsl("db3072"), "dbx.esl");
    const withDbx = verifyPe(parsePe([file], "x"), { ...trust("other"), revoked });
    expect(withDbx).toMatchObject({ valid: false, signatures: [{ outcome: "revoked" }, { outcome: "trusted" }] });
    expect(withDbx.signatures[0]?.reason).toMatch(/if there is a dbx, firmware refuses the whole file/);
  });

  const notPe = sequence(
    sequence(objectIdentifier("1.3.6.1.4.1.311.2.1.30"), sequence()),
    sequence(algorithm(OID.sha256), octetString(digest)),
  );
  const other = vectorCertificate("other").der;
  const [typeAttribute = other, digestAttribute = other] = signedAttributes(content);
  it.each<[string, () => Uint8Array, RegExp]>([
    [
      "another image's hash",
      () => compose({ image: encodeIndirectData(new Uint8Array(32)) }),
      /changed after it was signed/,
    ],
    [
      "a shortened hash",
      () => compose({ image: encodeIndirectData(digest.subarray(0, 31)) }),
      /changed after it was signed/,
    ],
    [
      "another content than signed",
      () => compose({ attributes: signedAttributes(encodeIndirectData(new Uint8Array(32))) }),
      /messageDigest attribute/,
    ],
    ["SHA-1 throughout", () => compose({ declared: OID.sha1, image: sha1, signerDigest: OID.sha1 }), /SHA-1/],
    ["SHA-1 for the image only", () => compose({ image: sha1 }), /different digest algorithms \(SHA-256, SHA-1\)/],
    ["another algorithm declared", () => compose({ declared: OID.sha512 }), /different digest algorithms/],
    ["another algorithm of the signer", () => compose({ signerDigest: OID.sha384 }), /different digest algorithms/],
    [
      "MD5",
      () =>
        compose({
          declared: "1.2.840.113549.2.5",
          signerDigest: "1.2.840.113549.2.5",
          image: sequence(
            sequence(objectIdentifier(OID.spcPeImageData), sequence()),
            sequence(algorithm("1.2.840.113549.2.5"), octetString(digest)),
          ),
        }),
      /MD5 is not supported/,
    ],
    [
      "a signature algorithm for another hash",
      () => compose({ signatureAlgorithm: algorithm("1.2.840.113549.1.1.13") }),
      /is not accepted by firmware/,
    ],
    [
      "RSASSA-PSS",
      () => compose({ signatureAlgorithm: sequence(objectIdentifier("1.2.840.113549.1.1.10"), sequence(integer(1))) }),
      /RSASSA-PSS is not accepted/,
    ],
    [
      "ECDSA",
      () =>
        compose({
          certificate: "ec",
          signatureAlgorithm: sequence(objectIdentifier("1.2.840.10045.4.3.2")),
          signature: (a) => rawSign("sha256", a, ecKey),
        }),
      /ECDSA with SHA-256 is not accepted by firmware/,
    ],
    [
      "an EC key behind RSA's name",
      () => compose({ certificate: "ec", signature: (a) => rawSign("sha256", a, ecKey) }),
      /its key \(EC-prime256v1\) is not accepted/,
    ],
    [
      "parameters where none belong",
      () => compose({ signatureAlgorithm: sequence(objectIdentifier(OID.rsaEncryption), octetString(digest)) }),
      /unexpected parameters/,
    ],
    ["a foreign signature", () => compose({ signature: () => new Uint8Array(256).fill(1) }), /does not verify/],
    ["an empty signature", () => compose({ signature: () => new Uint8Array() }), /does not verify/],
    [
      "a longer signature",
      () => compose({ signature: (a) => concat([Uint8Array.of(0), rawSign("sha256", a, key)]) }),
      /does not verify/,
    ],
    [
      "a signature over another SET",
      () => compose({ signature: () => rawSign("sha256", content.subarray(2), key) }),
      /does not verify/,
    ],
    ["no certificate", () => compose({ certificates: [] }), /certificate is not included/],
    ["somebody else's certificate", () => compose({ certificates: [other] }), /certificate is not included/],
    [
      "33 certificates",
      () => compose({ certificates: Array.from({ length: 33 }, () => other) }),
      /more than 32 certificates/,
    ],
    [
      "a broken certificate",
      () => compose({ certificates: [sequence(integer(1))] }),
      /malformed signature: certificate 1: TBSCertificate expected/,
    ],
    ["two signers", () => compose({ signers: 2 }), /expected exactly one signer/],
    ["no signer", () => compose({ signers: 0 }), /SignerInfo expected/],
    ["version 3", () => compose({ version: 3 }), /version 3/],
    ["a signed script", () => compose({ image: notPe }), /does not sign a PE image/],
    [
      "a signature over the content itself",
      () => compose({ attributes: [], signature: () => rawSign("sha256", content.subarray(2), key) }),
      /the signed attributes are missing/,
    ],
    ["no contentType", () => compose({ attributes: [digestAttribute] }), /contentType is missing/],
    ["no messageDigest", () => compose({ attributes: [typeAttribute] }), /messageDigest is missing/],
    [
      "two messageDigests",
      () =>
        compose({
          attributes: [typeAttribute, digestAttribute, attribute(OID.messageDigest, octetString(new Uint8Array(32)))],
        }),
      /messageDigest has several values/,
    ],
    [
      "two values of one",
      () =>
        compose({
          attributes: [typeAttribute, attribute(OID.messageDigest, octetString(digest), octetString(digest))],
        }),
      /messageDigest has several values/,
    ],
    [
      "another contentType",
      () => compose({ attributes: [attribute(OID.contentType, objectIdentifier(OID.data)), digestAttribute] }),
      /contentType attribute contradicts/,
    ],
    ["data behind the DER", () => compose({ trailing: Uint8Array.of(1) }), /unexpected data after/],
    ["8 zeros behind the DER", () => compose({ trailing: new Uint8Array(8) }), /unexpected data after/],
    ["no PKCS#7 at all", () => attach(new Uint8Array(40)), /malformed signature: ContentInfo expected/],
    [
      "another PKCS#7 message",
      () => attach(sequence(objectIdentifier(OID.data), context(0, octetString(digest)))),
      /not a signed PKCS#7 message/,
    ],
    ["signed data of another kind", () => compose({ contentType: OID.data }), /not Authenticode content/],
    [
      "a stray NULL",
      () => attach(sequence(objectIdentifier(OID.signedData), context(0, sequence()), nullValue())),
      /unexpected data at the end of ContentInfo/,
    ],
  ])("refuses %s", (_, file, message) => {
    const report = verify(file(), "signer", "ec", "other");
    expect(report.valid).toBe(false);
    expect(only(report)?.outcome).toBe("invalid");
    expect(only(report)?.reason).toMatch(message);
  });

  it("a malformed one does not hide the good one", async () => {
    const good = contentInfo(await signedData(base));
    const report = verify(attach(new Uint8Array(40), good), "signer");
    expect(report.valid).toBe(true);
    expect(report.signatures.map(({ outcome }) => outcome)).toEqual(["invalid", "trusted"]);
  });

  it("entries of other types are not supported", () => {
    const file = Uint8Array.from(signed);
    new DataView(file.buffer).setUint16(plain.length + 6, 0x0ef1, true);
    expect(only(verify(file, "signer"))).toMatchObject({
      outcome: "invalid",
      reason: "entries of type 0xef1 are not supported",
    });
  });
});

describe("verifyPe: changed files", () => {
  it("notices every changed byte but the four of the checksum", () => {
    const { checksumOffset } = parsePe([signed], "x");
    const unnoticed: number[] = [];
    for (let offset = 0; offset < signed.length; offset++) {
      const changed = Uint8Array.from(signed);
      changed[offset] = (changed[offset] ?? 0) ^ (1 + (offset % 255));
      try {
        if (verify(changed, "signer").valid) unnoticed.push(offset);
      } catch (error) {
        expect(error).toBeInstanceOf(SealError);
      }
    }
    expect(unnoticed).toEqual([0, 1, 2, 3].map((i) => checksumOffset + i));
  });

  it("notices any changed byte of any kind of file, or says that no signature covers it", async () => {
    const names = ["plain", "tail3", "sections-swapped", "wideheaders", "pe32", "aa64", "gap-between-sections"];
    const files = await Promise.all(
      names.map(async (name) => {
        const bytes = vector(`authenticode/pe/${name}.efi.gz`);
        const options = { append: false, signingTime: null };
        const file = concat((await signPe(parsePe([bytes], name), vectorSigner("signer"), options)).file);
        const pe = parsePe([file], name);
        const free = [{ start: pe.checksumOffset, end: pe.checksumOffset + 4 }, ...uncoveredRanges(pe)];
        return { name, file, free };
      }),
    );
    expect(files.filter(({ free }) => free.length > 1).map(({ name }) => name)).toEqual(["gap-between-sections"]);
    const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.constantFrom(...files), place, fc.integer({ min: 1, max: 255 }), ({ file, free }, at, bits) => {
        const offset = Math.floor(at * file.length);
        const changed = Uint8Array.from(file);
        changed[offset] = (changed[offset] ?? 0) ^ bits;
        let valid = false;
        try {
          valid = verify(changed, "signer").valid;
        } catch (error) {
          expect(error).toBeInstanceOf(SealError);
        }
        expect([offset, valid]).toEqual([offset, free.some(({ start, end }) => offset >= start && offset < end)]);
      }),
      { numRuns: 4000 },
    );
  });

  it("never fails in any other way than with a reason", () => {
    const edit = fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      bytes: fc.uint8Array({ maxLength: 6 }),
      drop: fc.nat(6),
    });
    const start = parsePe([signed], "x").certificateTable?.offset ?? 0;
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), fc.boolean(), (edits, inSignature) => {
        let file = Uint8Array.from(signed);
        for (const { at, bytes, drop } of edits) {
          const from = inSignature ? start : 0;
          const offset = from + Math.floor(at * (file.length - from));
          file = Uint8Array.from(concat([file.subarray(0, offset), bytes, file.subarray(offset + drop)]));
        }
        try {
          verify(file, "signer");
        } catch (error) {
          expect(error).toBeInstanceOf(SealError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
