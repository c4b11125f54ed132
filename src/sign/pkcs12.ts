/** Opens PKCS#12 files (RFC 7292) with node-forge, which is imported only here and only when there is one to open. */
import { createHmac, createPrivateKey, hash, type KeyObject, pbkdf2Sync } from "node:crypto";
import type forge from "node-forge";
import { alignUp, concat, equalBytes } from "../bytes.ts";
import { inputError, SealError } from "../errors.ts";
import type { AuthentihashAlgorithm } from "../pe/authentihash.ts";
import { algorithmName, digestOf } from "./algorithms.ts";
import { bitString, DerReader, sequence, TAG } from "./der.ts";
import type { KeyFile } from "./rsa-signer.ts";

type Forge = typeof forge;

/** OpenSSL writes 2,048, NSS 600,000, which take half a second; more than this is a file made to hang its reader. */
const MAX_ROUNDS = 10_000_000;

/**
 * Opens a PKCS#12 file.
 * @param passphrase its bytes in UTF-8; null tries files without one
 * @throws SealError `input` when it is damaged, when the passphrase is wrong, or when it does not hold one private key
 */
export async function openPkcs12(bytes: Uint8Array, label: string, passphrase: Uint8Array | null): Promise<KeyFile> {
  const { default: library } = await import("node-forge");
  useNativePbkdf2(library);
  try {
    return read(library, bytes, label, passphrase);
  } catch (error) {
    if (error instanceof SealError) throw error;
    throw inputError(label, "is no PKCS#12 file that can be read, or it is damaged", error);
  }
}

/**
 * forge derives keys in script, 600,000 rounds of NSS in five seconds; node's own function takes a quarter of a second.
 * Strings of forge hold a byte in each character.
 */
function useNativePbkdf2(library: Forge): void {
  const binary = (text: string) => Buffer.from(text, "latin1");
  Object.assign(library.pkcs5, {
    pbkdf2: (password: string, salt: string, rounds: number, length: number, md: { algorithm: string }): string => {
      if (rounds > MAX_ROUNDS) throw new Error(`${rounds} rounds of PBKDF2`);
      return pbkdf2Sync(Buffer.from(password, "utf8"), binary(salt), rounds, length, md.algorithm).toString("latin1");
    },
  });
}

function read(library: Forge, bytes: Uint8Array, label: string, passphrase: Uint8Array | null): KeyFile {
  const outer = library.asn1.fromDer(library.util.createBuffer(Buffer.from(bytes)));
  const bags = unlock(library, outer, label, passphrase).safeContents.flatMap(({ safeBags }) => safeBags);
  const { oids } = library.pki;
  const keyBags = bags.filter(({ type }) => type === oids["pkcs8ShroudedKeyBag"] || type === oids["keyBag"]);
  const [keyBag, second] = keyBags;
  if (keyBag === undefined) throw inputError(label, "holds no private key; export it again with the key");
  if (second !== undefined) throw inputError(label, "holds several private keys; give a file with one");
  const certificates = bags
    .filter(({ type }) => type === oids["certBag"])
    .map((bag) => ({ der: certificateDer(library, bag, label), label }));
  return { privateKey: { key: privateKey(library, keyBag), label }, certificates };
}

/** MacData (RFC 7292 4): how the passphrase is told from a wrong one. */
interface MacData {
  readonly algorithm: AuthentihashAlgorithm;
  readonly mac: Uint8Array;
  readonly salt: Uint8Array;
  readonly rounds: number;
  /** What it is about: the octets of AuthenticatedSafe. */
  readonly octets: Uint8Array;
}

/** Without a MAC nothing tells a wrong passphrase from a right one. */
function readMac(library: Forge, outer: forge.asn1.Asn1, label: string): MacData {
  const [, authSafe, macData] = children(outer);
  if (macData === undefined) {
    throw inputError(label, "this PKCS#12 file has no integrity check (MAC); export it again with one");
  }
  const [digestInfo, salt, iterations] = children(macData);
  const [algorithm, mac] = children(digestInfo);
  const oid = library.asn1.derToOid(String(children(algorithm)[0]?.value));
  const digest = digestOf(oid);
  if (digest === null)
    throw inputError(label, `its integrity check uses ${algorithmName(oid)}, which is not supported`);
  const rounds = integerOf(iterations);
  if (rounds > MAX_ROUNDS) {
    throw inputError(label, `opening it would take ${rounds} rounds; no sound PKCS#12 file needs that many`);
  }
  const content = children(children(authSafe)[1])[0];
  return { algorithm: digest, mac: octetsOf(mac), salt: octetsOf(salt), rounds, octets: octetsOf(content) };
}

/**
 * Checks the passphrase, then lets forge open the file. forge would check it too, in script: seconds of waiting for
 * the 600,000 rounds that NSS writes.
 */
function unlock(
  library: Forge,
  outer: forge.asn1.Asn1,
  label: string,
  passphrase: Uint8Array | null,
): forge.pkcs12.Pkcs12Pfx {
  const mac = readMac(library, outer, label);
  const text = passphrase === null ? "" : Buffer.from(passphrase).toString("utf8");
  // Without a passphrase some write an empty one, and some none.
  const candidates = text === "" ? [utf16(text), new Uint8Array()] : [utf16(text)];
  if (!candidates.some((candidate) => equalBytes(computeMac(mac, candidate), mac.mac))) {
    const reason =
      passphrase === null
        ? "is encrypted, or damaged. Give its passphrase with --passphrase-file FILE or --passphrase-env NAME"
        : "can't be opened with this passphrase: it is wrong, or the file is damaged";
    throw inputError(label, reason);
  }
  const withoutMac = { ...outer, value: children(outer).slice(0, 2) };
  return library.pkcs12.pkcs12FromAsn1(withoutMac, false, text);
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

/** forge decodes RSA keys and leaves all others as ASN.1. */
function privateKey(library: Forge, bag: forge.pkcs12.Bag): KeyObject {
  if (bag.key)
    return createPrivateKey({
      key: encode(library, library.pki.privateKeyToAsn1(bag.key)),
      format: "der",
      type: "pkcs1",
    });
  return createPrivateKey({ key: encode(library, bag.asn1), format: "der", type: "pkcs8" });
}

/**
 * The certificate as it was. forge keeps the signed part (or, of certificates with other than RSA keys, all of it), and
 * would write the algorithm around it in a way of its own: it is the one that stands inside (RFC 5280 4.1.1.2).
 */
function certificateDer(library: Forge, bag: forge.pkcs12.Bag, label: string): Uint8Array {
  if (!bag.cert) return encode(library, bag.asn1);
  const tbs = encode(library, bag.cert.tbsCertificate);
  const fields = new DerReader(tbs, label).enter("TBSCertificate");
  if (fields.nextTag !== TAG.integer) fields.any("version");
  fields.integer("serialNumber");
  const algorithm = fields.value(TAG.sequence, "signature").encoded;
  return sequence(tbs, algorithm, bitString(Buffer.from(bag.cert.signature, "latin1")));
}

function encode(library: Forge, value: forge.asn1.Asn1): Buffer {
  return Buffer.from(library.asn1.toDer(value).getBytes(), "latin1");
}
