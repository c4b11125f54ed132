import { execFileSync } from "node:child_process";
import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import forge from "node-forge";
import { describe, expect, it } from "vitest";
import { toHex } from "../../src/bytes.ts";
import { concat } from "../../src/chunks.ts";
import { SealError } from "../../src/errors.ts";
import { algorithm } from "../../src/sign/algorithms.ts";
import { context, encodeValue, integer, objectIdentifier, octetString, sequence, setOf } from "../../src/sign/der.ts";
import { openKeyFile, readCertificateFile } from "../../src/sign/key-file.ts";
import { OID } from "../../src/sign/oids.ts";
import { contentInfo } from "../../src/sign/pkcs7.ts";
import { createSignerFrom } from "../../src/sign/rsa-signer.ts";
import { ODD_LISTS } from "../support/databases.ts";
import { vectorCertificate } from "../support/signing.ts";
import { vector } from "../support/vectors.ts";

const PASS = Buffer.from("correct horse");
const WRONG = Buffer.from("battery staple");
const key = createPrivateKey(vector("authenticode/keys/signer.key"));
const publicKey = createPublicKey(key);
const keyPem = vector("authenticode/keys/signer.key");
const certPem = vector("authenticode/keys/signer.crt");
const utf8 = (text: string | Buffer) => Buffer.from(text);

const pkcs8 = key.export({ type: "pkcs8", format: "der" });
const encrypted = { cipher: "aes-256-cbc", passphrase: PASS };
const plainForms: [string, Buffer][] = [
  ["PEM PKCS#8", utf8(key.export({ type: "pkcs8", format: "pem" }))],
  ["PEM PKCS#1", utf8(key.export({ type: "pkcs1", format: "pem" }))],
  ["DER PKCS#8", pkcs8],
  ["DER PKCS#1", key.export({ type: "pkcs1", format: "der" })],
  ["PEM with text around it", utf8(`Bag Attributes\n  friendlyName: x\n${keyPem}\nmore\n`)],
  ["PEM with line ends of Windows", utf8(keyPem.toString().replaceAll("\n", "\r\n"))],
];
const encryptedForms: [string, Buffer][] = [
  ["PEM, encrypted PKCS#8", utf8(key.export({ type: "pkcs8", format: "pem", ...encrypted }))],
  ["DER, encrypted PKCS#8", key.export({ type: "pkcs8", format: "der", ...encrypted })],
  ["PEM, encrypted PKCS#1 (RFC 1421)", utf8(key.export({ type: "pkcs1", format: "pem", ...encrypted }))],
  ["PKCS#12, AES", pkcs12("aes256")],
  ["PKCS#12, triple DES", pkcs12("3des")],
];

/** Made with forge; the tests with live peers read those of OpenSSL and NSS. */
function pkcs12(algorithm: "aes256" | "3des"): Buffer {
  const forgeKey = forge.pki.privateKeyFromPem(key.export({ type: "pkcs1", format: "pem" }).toString());
  const certificates = [certPem, vector("authenticode/keys/ca.crt")].map((pem) =>
    forge.pki.certificateFromPem(pem.toString()),
  );
  const asn1 = forge.pkcs12.toPkcs12Asn1(forgeKey, certificates, PASS.toString(), { algorithm });
  return Buffer.from(forge.asn1.toDer(asn1).getBytes(), "latin1");
}

describe("openKeyFile", () => {
  it.each(plainForms)("%s", async (_, bytes) => {
    const opened = await openKeyFile(bytes, "db.key", null);
    expect(createPublicKey(opened.privateKey.key).equals(publicKey)).toBe(true);
    // A passphrase that is not needed does no harm.
    expect((await openKeyFile(bytes, "db.key", PASS)).privateKey.label).toBe("db.key");
  });

  it.each(encryptedForms)("%s: with the passphrase, a wrong one, and none", async (_, bytes) => {
    const opened = await openKeyFile(bytes, "db.key", PASS);
    expect(createPublicKey(opened.privateKey.key).equals(publicKey)).toBe(true);
    await expect(openKeyFile(bytes, "db.key", WRONG)).rejects.toThrow(
      /^db\.key: can't be opened with this passphrase: it is wrong, or/,
    );
    await expect(openKeyFile(bytes, "db.key", null)).rejects.toThrow(
      /^db\.key: is encrypted.* Give its passphrase with --passphrase-file/,
    );
  });

  it("finds certificates in the same file, byte for byte", async () => {
    const bundle = await openKeyFile(concat([certPem, keyPem, vector("authenticode/keys/ca.crt")]), "b.pem", null);
    const fromPkcs12 = await openKeyFile(pkcs12("aes256"), "b.p12", PASS);
    const expected = [vectorCertificate("signer"), vectorCertificate("ca")].map(({ der }) => toHex(der));
    expect(bundle.certificates.map(({ der }) => toHex(der))).toEqual(expected);
    expect(fromPkcs12.certificates.map(({ der }) => toHex(der))).toEqual(expected);
  });

  const digestInfo = (oid: string) => sequence(algorithm(oid), octetString(PASS));
  const rounds = (count: number) =>
    sequence(
      sequence(
        objectIdentifier("1.2.840.113549.1.5.13"),
        sequence(
          sequence(objectIdentifier("1.2.840.113549.1.5.12"), sequence(octetString(PASS), integer(count))),
          sequence(),
        ),
      ),
      octetString(PASS),
    );
  it.each<[string, Uint8Array, RegExp]>([
    ["nothing", new Uint8Array(), /is not a private key/],
    ["text", utf8("hello"), /is not a private key/],
    ["a certificate", certPem, /contains no private key, only: certificate/],
    ["a DER certificate", vectorCertificate("signer").der, /is not a private key/],
    ["two keys", concat([keyPem, vector("authenticode/keys/other.key")]), /several private keys/],
    ["half a PEM file", keyPem.subarray(0, 600), /truncated: the PEM block "PRIVATE KEY" has no end/],
    ["a PEM file with dots", utf8(keyPem.toString().replace("MII", "M.I")), /contains characters that are not base64/],
    ["an empty PEM block", utf8("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"), /damaged/],
    ["half a DER file", pkcs8.subarray(0, 500), /damaged/],
    [
      "an encrypted key with something behind it",
      concat([key.export({ type: "pkcs8", format: "der", ...encrypted }), Uint8Array.of(0)]),
      /unexpected data at the end of the file/,
    ],
    ["half a PKCS#12 file", pkcs12("aes256").subarray(0, 900), /damaged/],
    ["two thousand million rounds", rounds(2_000_000_000), /2000000000 rounds/],
    [
      "PKCS#12 without a MAC",
      sequence(integer(3), sequence(objectIdentifier("1.2.840.113549.1.7.1"))),
      /no integrity check/,
    ],
    [
      "PKCS#12 with endless rounds",
      sequence(integer(3), sequence(), sequence(digestInfo(OID.sha256), octetString(PASS), integer(0x7fffffff))),
      /rounds/,
    ],
    [
      "PKCS#12 with a check by MD5",
      sequence(integer(3), sequence(), sequence(digestInfo("1.2.840.113549.2.5"), octetString(PASS))),
      /its integrity check uses MD5, which is not supported/,
    ],
    ["PKCS#12 of nothing", sequence(integer(3), sequence()), /no integrity check/],
    [
      "a deep nest",
      Uint8Array.from(
        Buffer.concat([Buffer.from("308002010330", "hex"), Buffer.alloc(100_000, Buffer.from("3080", "hex"))]),
      ),
      /damaged/,
    ],
  ])("refuses %s", async (_, bytes, message) => {
    await expect(openKeyFile(bytes, "x.key", PASS)).rejects.toThrow(message);
    await expect(openKeyFile(bytes, "x.key", PASS)).rejects.toThrow(/^x\.key: /);
  });

  it("never fails in any other way, nor says what is in the file", async () => {
    const edit = fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      bytes: fc.uint8Array({ maxLength: 4 }),
      drop: fc.nat(4),
    });
    const forms = [...plainForms, ...encryptedForms.slice(0, 3), ["certificate", certPem] as [string, Buffer]];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...forms),
        fc.array(edit, { minLength: 1, maxLength: 3 }),
        async ([, form], edits) => {
          let file: Uint8Array = form;
          for (const { at, bytes, drop } of edits) {
            const offset = Math.floor(at * file.length);
            file = concat([file.subarray(0, offset), bytes, file.subarray(offset + drop)]);
          }
          try {
            await openKeyFile(file, "x.key", PASS);
          } catch (error) {
            expect(error).toBeInstanceOf(SealError);
            expect((error as SealError).message.length).toBeLessThan(200);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it("the same for PKCS#12", async () => {
    const form = pkcs12("aes256");
    await fc.assert(
      fc.asyncProperty(fc.nat(form.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const file = Buffer.from(form);
        file[at] = (file[at] ?? 0) ^ change;
        try {
          await openKeyFile(file, "x.p12", PASS);
        } catch (error) {
          expect(error).toBeInstanceOf(SealError);
        }
      }),
      { numRuns: 100 },
    );
  });
});

/** A `.p7b`, as `openssl crl2pkcs7 -nocrl` makes it. */
function p7b(...certificates: readonly Uint8Array[]): Uint8Array {
  const content = sequence(objectIdentifier(OID.data));
  return contentInfo(sequence(integer(1), setOf(), content, context(0, ...certificates), setOf()));
}

describe("readCertificateFile", () => {
  it("reads chains as PKCS#7, DER and PEM, from the signer's certificate on whatever their order is", () => {
    const [ca, leaf] = (["ca", "leaf"] as const).map((name) => vectorCertificate(name).der);
    if (ca === undefined || leaf === undefined) throw new Error("there are vectors");
    for (const der of [p7b(ca, leaf), p7b(leaf, ca)]) {
      const base64 = Buffer.from(der).toString("base64");
      for (const bytes of [der, utf8(`-----BEGIN PKCS7-----\n${base64}\n-----END PKCS7-----\n`)]) {
        const read = readCertificateFile(bytes, "x.p7b");
        expect(read.map((one) => [toHex(one.der), one.label])).toEqual([
          [toHex(leaf), "x.p7b"],
          [toHex(ca), "x.p7b"],
        ]);
      }
    }
  });

  it("reads DER, PEM, several, and what surrounds them", () => {
    const { der } = vectorCertificate("signer");
    expect(readCertificateFile(der, "x").map((one) => toHex(one.der))).toEqual([toHex(der)]);
    expect(readCertificateFile(concat([keyPem, certPem]), "x").map((one) => toHex(one.der))).toEqual([toHex(der)]);
    expect(readCertificateFile(concat([certPem, vector("authenticode/keys/ca.crt")]), "x")).toHaveLength(2);
    const trusted = Buffer.concat([der, encodeValue(0x30)]).toString("base64");
    const text = `-----BEGIN TRUSTED CERTIFICATE-----\n${trusted}\n-----END TRUSTED CERTIFICATE-----\n`;
    expect(readCertificateFile(utf8(text), "x").map((one) => toHex(one.der))).toEqual([toHex(der)]);
  });

  it.each<[string, Uint8Array, RegExp]>([
    ["a key", keyPem, /is PEM but contains no certificate/],
    ["nothing", new Uint8Array(), /is not a certificate: neither PEM nor DER/],
    ["text", utf8("hello"), /is not a certificate: neither PEM nor DER/],
    ["signature lists with the text of a PEM certificate in them", ODD_LISTS, /is not a certificate but the contents/],
    ["PKCS#7 without certificates", p7b(), /is PKCS#7 \(\.p7b\) without any certificate/],
    [
      "PKCS#7 with something else",
      p7b(sequence(integer(1))),
      /is PKCS#7 that can't be read \(.*\)\. Extract the certificates: openssl pkcs7 -print_certs$/,
    ],
    ["half a PKCS#7 message", p7b(vectorCertificate("ca").der).subarray(0, 200), /^x\.crt: /],
    ["a DER key", pkcs8, /TBSCertificate|certificate/],
    [
      "bytes behind the certificate",
      concat([vectorCertificate("signer").der, Uint8Array.of(0)]),
      /unexpected data at the end/,
    ],
    ["half a certificate", vectorCertificate("signer").der.subarray(0, 400), /longer than its container/],
  ])("refuses %s", (_, bytes, message) => {
    expect(() => readCertificateFile(bytes, "x.crt")).toThrow(message);
    expect(() => readCertificateFile(bytes, "x.crt")).toThrow(/^x\.crt: /);
  });

  it("never fails in any other way, and gives nothing that node's reader refuses", () => {
    const { der } = vectorCertificate("leaf");
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const file = Uint8Array.from(der);
        file[at] = (file[at] ?? 0) ^ change;
        try {
          readCertificateFile(file, "x.crt");
        } catch (error) {
          expect(error).toBeInstanceOf(SealError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe("createSignerFrom", () => {
  it("picks the certificate of the key; the others become the chain", () => {
    const privateKey = { key: createPrivateKey(vector("authenticode/keys/leaf.key")), label: "leaf.key" };
    const [ca, leaf, other] = [vectorCertificate("ca"), vectorCertificate("leaf"), vectorCertificate("other")] as const;
    const signer = createSignerFrom(privateKey, [ca, leaf], [other]);
    expect(signer.certificate).toBe(leaf);
    expect(signer.chain).toEqual([ca, other]);
    expect(() => createSignerFrom(privateKey, [ca], [])).toThrow(
      "ca.crt does not belong to leaf.key (public keys differ)",
    );
  });

  it.each([1024, 2560])("refuses RSA-%d", (bits) => {
    const { privateKey: key } = generateKeyPairSync("rsa", { modulusLength: bits });
    const privateKey = { key, label: "x.key" };
    expect(() => createSignerFrom(privateKey, [vectorCertificate("signer")], [])).toThrow(
      `x.key: an RSA key of ${bits} bits; Secure Boot firmware accepts 2048, 3072 or 4096. Make one with: seal keys generate`,
    );
  });
});

describe("node-forge", () => {
  it("is left as it is by what is opened with it", async () => {
    const { pbkdf2 } = forge.pkcs5;
    for (const algorithm of ["aes256", "3des"] as const) await openKeyFile(pkcs12(algorithm), "b.p12", PASS);
    expect(forge.pkcs5.pbkdf2).toBe(pbkdf2);
  });

  it("is loaded for PKCS#12 files only, as it takes longer than signing", () => {
    const module = new URL("../../src/sign/key-file.ts", import.meta.url).href;
    const script = `
      import { openKeyFile } from ${JSON.stringify(module)};
      import { readFileSync } from "node:fs";
      import { createRequire } from "node:module";
      await openKeyFile(readFileSync(process.argv[1]), "x", null);
      console.log(Object.keys(createRequire(${JSON.stringify(module)}).cache).filter((path) => path.includes("node-forge")).length);
    `;
    const keyPath = fileURLToPath(new URL("../vectors/authenticode/keys/signer.key", import.meta.url));
    const output = execFileSync(process.execPath, ["--input-type=module", "-e", script, keyPath], { encoding: "utf8" });
    expect(output).toBe("0\n");
  });
});
