/**
 * Opens PKCS#12 files (RFC 7292). node-forge takes their BER apart, and decrypts what node:crypto can't; it is imported
 * only here and only when there is one to open.
 */
import { createDecipheriv, createHmac, createPrivateKey, hash, type KeyObject, pbkdf2Sync } from "node:crypto";
import type forge from "node-forge";
import { alignUp, equalBytes } from "../bytes.ts";
import { concat } from "../chunks.ts";
import { inputError, SealError } from "../errors.ts";
import type { AuthentihashAlgorithm } from "../pe/authentihash.ts";
import { algorithmName, digestAlgorithmOf } from "./algorithms.ts";
import { DerivationBudget } from "./derivation-budget.ts";
import type { KeyFile } from "./rsa-signer.ts";

type Forge = typeof forge;

/**
 * Opens a PKCS#12 file.
 * @param passphrase its bytes in UTF-8; null tries files without one
 * @throws SealError `input` when it is damaged, when the passphrase is wrong, or when it does not hold one private key
 */
export async function openPkcs12(bytes: Uint8Array, subject: string, passphrase: Uint8Array | null): Promise<KeyFile> {
  const { default: library } = await import("node-forge");
  try {
    return read(library, bytes, subject, passphrase);
  } catch (error) {
    if (error instanceof SealError) throw error;
    throw inputError(subject, "is not a readable PKCS#12 file, or is damaged", error);
  }
}

function read(library: Forge, bytes: Uint8Array, subject: string, passphrase: Uint8Array | null): KeyFile {
  const budget = new DerivationBudget(subject);
  const mac = readMac(library, parse(library, bytes), subject);
  budget.spend(mac.rounds);
  const text = passphrase === null ? "" : Buffer.from(passphrase).toString("utf8");
  checkPassphrase(mac, passphrase === null ? null : text, subject);
  const open = (algorithm: forge.asn1.Asn1 | undefined, data: Uint8Array) =>
    decrypt(library, { algorithm, data, passphrase: text, subject, budget });
  const bags = children(parse(library, mac.octets)).flatMap((safe) => readSafe(library, safe, open, subject));
  const keyBags = bags.filter(({ type }) => type === BAG.key || type === BAG.shroudedKey);
  const [keyBag, second] = keyBags;
  if (keyBag === undefined) throw inputError(subject, "contains no private key; export it again with the key");
  if (second !== undefined) throw inputError(subject, "contains several private keys; give a file with only one");
  const certificates = bags
    .filter(({ type }) => type === BAG.certificate)
    .map(({ value }) => ({ der: octetsOf(children(children(value)[1])[0]), label: subject }));
  return { privateKey: { key: privateKey(library, keyBag, open), label: subject }, certificates };
}

/** Types of content (RFC 5652 4 and 8) and of bags (RFC 7292 appendix D). */
const [DATA, ENCRYPTED_DATA] = ["1.2.840.113549.1.7.1", "1.2.840.113549.1.7.6"] as const;
const BAG = {
  key: "1.2.840.113549.1.12.10.1.1",
  shroudedKey: "1.2.840.113549.1.12.10.1.2",
  certificate: "1.2.840.113549.1.12.10.1.3",
} as const;

interface SafeBag {
  readonly type: string;
  readonly value: forge.asn1.Asn1 | undefined;
}

type Decrypt = (algorithm: forge.asn1.Asn1 | undefined, data: Uint8Array) => Uint8Array;

/** The bags of one ContentInfo of the safe, which may be encrypted as a whole (RFC 7292 4.1, 4.2). */
function readSafe(library: Forge, safe: forge.asn1.Asn1, open: Decrypt, subject: string): SafeBag[] {
  const [type, wrapped] = children(safe);
  const [content] = children(wrapped);
  const oid = oidOf(library, type);
  if (oid !== DATA && oid !== ENCRYPTED_DATA) {
    throw inputError(subject, "is encrypted for a certificate, not with a passphrase; export it again with one");
  }
  const [, algorithm, data] = children(children(content)[1]);
  const contents = oid === DATA ? octetsOf(content) : open(algorithm, octetsOf(data));
  return children(parse(library, contents)).map((bag) => {
    const [bagType, value] = children(bag);
    return { type: oidOf(library, bagType), value: children(value)[0] };
  });
}

function privateKey(library: Forge, { type, value }: SafeBag, open: Decrypt): KeyObject {
  const [algorithm, data] = children(value);
  const der = type === BAG.key && value !== undefined ? encode(library, value) : open(algorithm, octetsOf(data));
  return createPrivateKey({ key: Buffer.from(der), format: "der", type: "pkcs8" });
}

/**
 * What was encrypted with a passphrase: by PBES2 with node:crypto, by the older algorithms of RFC 7292 (appendix C;
 * triple DES and RC2) with forge.
 * @throws SealError `input` for endless rounds; anything for what is damaged
 */
function decrypt(
  library: Forge,
  {
    algorithm,
    data,
    passphrase,
    subject,
    budget,
  }: {
    readonly algorithm: forge.asn1.Asn1 | undefined;
    readonly data: Uint8Array;
    readonly passphrase: string;
    readonly subject: string;
    readonly budget: DerivationBudget;
  },
): Uint8Array {
  const [type, parameters] = children(algorithm);
  if (algorithm !== undefined && oidOf(library, type) !== PBES2) {
    budget.spend(integerOf(children(parameters)[1]));
    const { UNIVERSAL, SEQUENCE, OCTETSTRING } = { ...library.asn1.Class, ...library.asn1.Type };
    const octets = library.asn1.create(UNIVERSAL, OCTETSTRING, false, Buffer.from(data).toString("latin1"));
    // EncryptedPrivateKeyInfo is an algorithm and what it made; forge does not ask what comes out.
    const info = library.asn1.create(UNIVERSAL, SEQUENCE, true, [algorithm, octets]);
    return encode(library, library.pki.decryptPrivateKeyInfo(info, passphrase));
  }
  const scheme = readPbes2(library, parameters, subject);
  budget.spend(scheme.rounds);
  const key = pbkdf2Sync(passphrase, scheme.salt, scheme.rounds, scheme.keyLength, scheme.digest);
  const decipher = createDecipheriv(scheme.cipher, key, scheme.iv);
  return Buffer.concat([decipher.update(data), decipher.final()]);
}

const PBES2 = "1.2.840.113549.1.5.13";
const PBKDF2 = "1.2.840.113549.1.5.12";
/** Pseudo-random functions of PBKDF2 (RFC 8018 B.1.2). */
const PRFS: Readonly<Record<string, string>> = {
  "1.2.840.113549.2.7": "sha1",
  "1.2.840.113549.2.8": "sha224",
  "1.2.840.113549.2.9": "sha256",
  "1.2.840.113549.2.10": "sha384",
  "1.2.840.113549.2.11": "sha512",
};
const CIPHERS: Readonly<Record<string, readonly [name: string, keyLength: number]>> = {
  "2.16.840.1.101.3.4.1.2": ["aes-128-cbc", 16],
  "2.16.840.1.101.3.4.1.22": ["aes-192-cbc", 24],
  "2.16.840.1.101.3.4.1.42": ["aes-256-cbc", 32],
  "1.2.840.113549.3.7": ["des-ede3-cbc", 24],
};

/** PBES2-params with PBKDF2-params in them (RFC 8018 A.4, A.2). */
function readPbes2(library: Forge, parameters: forge.asn1.Asn1 | undefined, subject: string) {
  const [derivation, encryption] = children(parameters);
  const [kdf, kdfParameters] = children(derivation);
  const [salt, iterations, ...options] = children(kdfParameters);
  const [cipherType, iv] = children(encryption);
  // The length of the key is optional, and so is the function, which comes last.
  const prf = options.map((option) => children(option)[0]).find((one) => one !== undefined);
  const digest = prf === undefined ? "sha1" : PRFS[oidOf(library, prf)];
  const cipher = CIPHERS[oidOf(library, cipherType)];
  if (oidOf(library, kdf) !== PBKDF2 || digest === undefined || cipher === undefined) {
    throw inputError(subject, "uses an encryption that seal does not support; export it again with AES and PBKDF2");
  }
  const [name, keyLength] = cipher;
  return { salt: octetsOf(salt), rounds: integerOf(iterations), digest, cipher: name, keyLength, iv: octetsOf(iv) };
}

/** MacData (RFC 7292 4): how a wrong passphrase is detected. */
interface MacData {
  readonly algorithm: AuthentihashAlgorithm;
  readonly mac: Uint8Array;
  readonly salt: Uint8Array;
  readonly rounds: number;
  /** What it is about: the octets of AuthenticatedSafe. */
  readonly octets: Uint8Array;
}

/** Without a MAC a wrong passphrase can't be detected. */
function readMac(library: Forge, outer: forge.asn1.Asn1, subject: string): MacData {
  const [, authSafe, macData] = children(outer);
  if (macData === undefined) {
    throw inputError(subject, "this PKCS#12 file has no integrity check (MAC); export it again with one");
  }
  const [digestInfo, salt, iterations] = children(macData);
  const [algorithm, mac] = children(digestInfo);
  const oid = oidOf(library, children(algorithm)[0]);
  const digest = digestAlgorithmOf(oid);
  if (digest === null)
    throw inputError(subject, `its integrity check uses ${algorithmName(oid)}, which is not supported`);
  const rounds = integerOf(iterations);
  const content = children(children(authSafe)[1])[0];
  return { algorithm: digest, mac: octetsOf(mac), salt: octetsOf(salt), rounds, octets: octetsOf(content) };
}

/** @param passphrase null: none was given */
function checkPassphrase(mac: MacData, passphrase: string | null, subject: string): void {
  const text = passphrase ?? "";
  // Without a passphrase some write an empty one, and some none.
  const candidates = text === "" ? [utf16(text), new Uint8Array()] : [utf16(text)];
  if (candidates.some((candidate) => equalBytes(computeMac(mac, candidate), mac.mac))) return;
  const reason =
    passphrase === null
      ? "is encrypted, or damaged. Give its passphrase with --passphrase-file FILE or --passphrase-env NAME"
      : "can't be opened with this passphrase: it is wrong, or the file is damaged";
  throw inputError(subject, reason);
}

/** HMAC over the safe with a key made of the passphrase (RFC 7292 B.2, one block, ID 3). */
function computeMac({ algorithm, salt, rounds, octets }: MacData, passphrase: Uint8Array): Uint8Array {
  const blockSize = algorithm === "sha384" || algorithm === "sha512" ? 128 : 64;
  const repeat = (bytes: Uint8Array) => {
    const filled = new Uint8Array(bytes.length === 0 ? 0 : alignUp(bytes.length, blockSize));
    return filled.map((_, index) => bytes[index % bytes.length] ?? 0);
  };
  let key: Buffer = hash(
    algorithm,
    concat([new Uint8Array(blockSize).fill(3), repeat(salt), repeat(passphrase)]),
    "buffer",
  );
  for (let round = 1; round < rounds; round++) key = hash(algorithm, key, "buffer");
  return createHmac(algorithm, key).update(octets).digest();
}

/** Big endian with a closing zero: BMPString as RFC 7292 B.1 wants it. */
function utf16(text: string): Uint8Array {
  return Buffer.from(`${text}\0`, "utf16le").swap16();
}

function children(node: forge.asn1.Asn1 | undefined): readonly forge.asn1.Asn1[] {
  return node !== undefined && Array.isArray(node.value) ? node.value : [];
}

/** Contents of an OCTET STRING, which BER may cut into pieces. */
function octetsOf(node: forge.asn1.Asn1 | undefined): Uint8Array {
  if (node !== undefined && typeof node.value === "string") return Buffer.from(node.value, "latin1");
  return concat(children(node).map((part) => Buffer.from(String(part.value), "latin1")));
}

/** An INTEGER of at least 0; 1 when it is left out. */
function integerOf(node: forge.asn1.Asn1 | undefined): number {
  if (node === undefined) return 1;
  const bytes = octetsOf(node);
  const negative = ((bytes[0] ?? 0x80) & 0x80) !== 0;
  return negative ? Number.POSITIVE_INFINITY : bytes.reduce((sum, byte) => sum * 256 + byte, 0);
}

function oidOf(library: Forge, node: forge.asn1.Asn1 | undefined): string {
  return library.asn1.derToOid(String(node?.value));
}

function parse(library: Forge, bytes: Uint8Array): forge.asn1.Asn1 {
  return library.asn1.fromDer(library.util.createBuffer(Buffer.from(bytes)));
}

function encode(library: Forge, value: forge.asn1.Asn1): Buffer {
  return Buffer.from(library.asn1.toDer(value).getBytes(), "latin1");
}
