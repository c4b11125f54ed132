import { createCipheriv, createHmac, createPrivateKey, hash, pbkdf2Sync, scryptSync } from "node:crypto";
import { describe, expect, it } from "vitest";
import { concat } from "../../src/chunks.ts";
import { algorithm } from "../../src/sign/algorithms.ts";
import { context, encodeValue, integer, objectIdentifier, octetString, sequence } from "../../src/sign/der.ts";
import { openKeyFile } from "../../src/sign/key-file.ts";
import { OID } from "../../src/sign/oids.ts";
import { vector } from "../support/vectors.ts";

const PASS = Buffer.from("correct horse");
const SALT = Buffer.alloc(16, 7);
const IV = Buffer.alloc(16, 9);
const key = createPrivateKey(vector("authenticode/keys/signer.key"));
const pkcs8 = key.export({ type: "pkcs8", format: "der" });

/** EncryptedPrivateKeyInfo with PBES2 and AES-256-CBC. @param secret of 32 bytes */
function encryptedKey(derivation: Uint8Array, secret: Uint8Array): Uint8Array {
  return sequence(pbes2(derivation), octetString(encrypted(pkcs8, secret)));
}

function pbes2(derivation: Uint8Array): Uint8Array {
  const cipher = sequence(objectIdentifier("2.16.840.1.101.3.4.1.42"), octetString(IV));
  return sequence(objectIdentifier("1.2.840.113549.1.5.13"), sequence(derivation, cipher));
}

function encrypted(data: Uint8Array, secret: Uint8Array): Buffer {
  const cipher = createCipheriv("aes-256-cbc", secret, IV);
  return Buffer.concat([cipher.update(data), cipher.final()]);
}

function pbkdf2(rounds: number): Uint8Array {
  return sequence(objectIdentifier("1.2.840.113549.1.5.12"), sequence(octetString(SALT), integer(rounds)));
}

function scrypt(cost: number, blockSize: number, parallelization: number): Uint8Array {
  const numbers = [cost, blockSize, parallelization].map((number) => integer(number));
  return sequence(objectIdentifier("1.3.6.1.4.1.11591.4.11"), sequence(octetString(SALT), ...numbers));
}

/**
 * A PKCS#12 file with a right MAC of one round.
 * @param safes each an empty list of bags, encrypted with so many rounds
 */
function pkcs12(...safes: readonly number[]): Uint8Array {
  const contents = sequence(
    ...safes.map((rounds) => {
      // Those that must not be derived need no secret.
      const secret = rounds < 10_000 ? pbkdf2Sync(PASS, SALT, rounds, 32, "sha1") : Buffer.alloc(32);
      const data = encodeValue(0x80, encrypted(sequence(), secret));
      const content = sequence(objectIdentifier("1.2.840.113549.1.7.1"), pbes2(pbkdf2(rounds)), data);
      return sequence(objectIdentifier("1.2.840.113549.1.7.6"), context(0, sequence(integer(0), content)));
    }),
  );
  const repeat = (bytes: Uint8Array) => Buffer.alloc(64, bytes);
  const password = Buffer.from(`${PASS}\0`, "utf16le").swap16();
  const secret = hash("sha256", concat([Buffer.alloc(64, 3), repeat(SALT), repeat(password)]), "buffer");
  const mac = createHmac("sha256", secret).update(contents).digest();
  return sequence(
    integer(3),
    sequence(objectIdentifier("1.2.840.113549.1.7.1"), context(0, octetString(contents))),
    sequence(sequence(algorithm(OID.sha256), octetString(mac)), octetString(SALT), integer(1)),
  );
}

describe("what opening a key may cost", () => {
  it("keys that OpenSSL and NSS write, and much stronger ones, are opened", async () => {
    const files = [
      ...[2_048, 600_000].map((rounds) => encryptedKey(pbkdf2(rounds), pbkdf2Sync(PASS, SALT, rounds, 32, "sha1"))),
      encryptedKey(scrypt(16_384, 8, 1), scryptSync(PASS, SALT, 32, { N: 16_384, r: 8, p: 1, maxmem: 1 << 26 })),
    ];
    for (const file of files) {
      const opened = await openKeyFile(file, "x.key", PASS);
      expect(opened.privateKey.key.equals(key)).toBe(true);
    }
  });

  it("PBKDF2 is bounded by its rounds", async () => {
    await expect(openKeyFile(encryptedKey(pbkdf2(4_000_001), Buffer.alloc(32)), "x.key", PASS)).rejects.toThrow(
      "x.key: opening it would take 4000001 rounds of key derivation, more than seal's limit of 4000000 for a file; export the key again with fewer (openssl writes 2048)",
    );
  });

  it("scrypt is bounded by its work, which OpenSSL does not bound", async () => {
    for (const numbers of [
      [16_384, 8, 16_000],
      [2 ** 20, 8, 1],
    ] as const) {
      const [cost, blockSize, parallelization] = numbers;
      const file = encryptedKey(scrypt(cost, blockSize, parallelization), Buffer.alloc(32));
      await expect(openKeyFile(file, "x.key", PASS)).rejects.toThrow(
        `x.key: opening it would take scrypt with N=${cost}, r=${blockSize}, p=${parallelization}, more than seal allows`,
      );
    }
  });

  it("many small counts in a PKCS#12 file are added up", async () => {
    await expect(openKeyFile(pkcs12(2_048, 2_048), "x.p12", PASS)).rejects.toThrow("x.p12: contains no private key");
    await expect(openKeyFile(pkcs12(2_048, 3_999_000), "x.p12", PASS)).rejects.toThrow(
      "x.p12: opening it would take 4001049 rounds of key derivation",
    );
  });
});
