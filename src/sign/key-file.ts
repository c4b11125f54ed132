/**
 * Opens the files that keys and certificates come in: PEM (also with several blocks), DER as PKCS#1 or PKCS#8,
 * encrypted PKCS#8, and PKCS#12. node:crypto decodes and decrypts.
 */
import { createPrivateKey, type KeyObject } from "node:crypto";
import { equalBytes } from "../bytes.ts";
import { inputError, SealError } from "../errors.ts";
import { type Certificate, type ParsedCertificate, parseCertificate } from "./certificate.ts";
import { DerReader, TAG } from "./der.ts";
import { DerivationBudget } from "./derivation-budget.ts";
import { keyFileKind } from "./file-kind.ts";
import { isPem, isPemOrDer, type PemBlock, parsePem } from "./pem.ts";
import { openPkcs12 } from "./pkcs12.ts";
import type { KeyFile } from "./rsa-signer.ts";
import { isSignedMessage, readCertificateBag } from "./signed-data.ts";

const MESSAGE_TYPES = ["PKCS7", "CMS"];
const CERTIFICATE_TYPES = ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"];

/**
 * Opens a key file.
 * @param subject what the user knows the file by
 * @param passphrase its bytes; null when none was given
 * @throws SealError `input` when there is no private key in it, when it can't be decoded, or not with this passphrase
 */
export async function openKeyFile(bytes: Uint8Array, subject: string, passphrase: Uint8Array | null): Promise<KeyFile> {
  if (!isPem(bytes)) return openDerKey(bytes, subject, passphrase);
  const blocks = parsePem(bytes, subject);
  const [key, second] = blocks.filter(({ type }) => type.endsWith("PRIVATE KEY"));
  if (key === undefined) {
    const found = blocks.map(({ type }) => type.toLowerCase()).join(", ");
    throw inputError(subject, `contains no private key, only: ${found}. Give a certificate with --cert`);
  }
  if (second !== undefined) throw inputError(subject, "contains several private keys; give a file with only one");
  return {
    privateKey: { key: openPemKey(key, subject, passphrase), label: subject },
    certificates: certificatesOf(blocks, subject),
  };
}

/**
 * Reads a file with one or more certificates, PEM or DER, or with a chain of them as PKCS#7 (`.p7b`) in either form,
 * which comes out from the signer's certificate on.
 * @throws SealError `input` when there is none in it, or one is malformed
 */
export function readCertificateFile(bytes: Uint8Array, subject: string): [ParsedCertificate, ...ParsedCertificate[]] {
  const { kind } = keyFileKind(bytes);
  if (kind === "lists" || kind === "update" || kind === "store") {
    throw inputError(
      subject,
      "is not a certificate but the contents of a firmware variable; seal keys show lists them",
    );
  }
  if (!isPemOrDer(bytes)) throw inputError(subject, "is not a certificate: neither PEM nor DER");
  if (!isPem(bytes))
    return isSignedMessage(bytes) ? readChain([bytes], subject) : [parseCertificate({ der: bytes, label: subject })];
  const blocks = parsePem(bytes, subject);
  const certificates = certificatesOf(blocks, subject).map(parseCertificate);
  const messages = blocks.filter(({ type }) => MESSAGE_TYPES.includes(type)).map(({ der }) => der);
  if (messages.length > 0) certificates.push(...readChain(messages, subject));
  const [first, ...others] = certificates;
  if (first === undefined) throw inputError(subject, "is PEM but contains no certificate");
  return [first, ...others];
}

/** @param messages ContentInfo in DER */
function readChain(messages: readonly Uint8Array[], subject: string): [ParsedCertificate, ...ParsedCertificate[]] {
  let certificates: ParsedCertificate[];
  try {
    certificates = messages.flatMap((der) => readCertificateBag(der, subject));
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    const reason = error.message.replace(`${subject}: `, "");
    throw inputError(
      subject,
      `is PKCS#7 that can't be read (${reason}). Extract the certificates: openssl pkcs7 -print_certs`,
      error,
    );
  }
  const [first, ...others] = inIssuingOrder(certificates);
  if (first === undefined) throw inputError(subject, "is PKCS#7 (.p7b) without any certificate");
  return [first, ...others];
}

/** CAs write them in any order: those that issued none of the others come first. */
function inIssuingOrder(certificates: readonly ParsedCertificate[]): ParsedCertificate[] {
  const isIssuer = (one: ParsedCertificate) =>
    certificates.some((other) => other !== one && equalBytes(other.issuer, one.subject));
  const leaves = certificates.filter((one) => !isIssuer(one));
  return [...leaves, ...certificates.filter((one) => !leaves.includes(one))];
}

function certificatesOf(blocks: readonly PemBlock[], subject: string): Certificate[] {
  const certificates = blocks.filter(({ type }) => CERTIFICATE_TYPES.includes(type));
  // A trusted certificate is followed by OpenSSL's own trust settings.
  return certificates.map(({ type, der }) => ({
    der: type === "TRUSTED CERTIFICATE" ? new DerReader(der, subject).value(TAG.sequence, "certificate").encoded : der,
    label: subject,
  }));
}

/** What cosign generate-key-pair writes, the second before version 2. */
const COSIGN_KEYS = ["ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"];

function openPemKey(block: PemBlock, subject: string, passphrase: Uint8Array | null): KeyObject {
  if (COSIGN_KEYS.includes(block.type)) {
    throw inputError(
      subject,
      "is in cosign's own format, which no other program reads. Use a key from openssl genpkey, which cosign import-key-pair also accepts; or have cosign sign what seal attest --export-tbs writes",
    );
  }
  if (block.type === "ENCRYPTED PRIVATE KEY") return openEncryptedPkcs8(block.der, subject, passphrase);
  if (!block.hasHeaders) return openPlain({ key: block.text, format: "pem" }, subject);
  return openEncrypted(subject, passphrase, (bytes) =>
    createPrivateKey({ key: block.text, format: "pem", passphrase: bytes }),
  );
}

/** The forms of a private key in DER are distinguished by their first elements. */
async function openDerKey(bytes: Uint8Array, subject: string, passphrase: Uint8Array | null): Promise<KeyFile> {
  const withLabel = (key: KeyObject): KeyFile => ({ privateKey: { key, label: subject }, certificates: [] });
  const key = Buffer.from(bytes);
  switch (classify(bytes)) {
    case "pkcs1":
      return withLabel(openPlain({ key, format: "der", type: "pkcs1" }, subject));
    case "pkcs8":
      return withLabel(openPlain({ key, format: "der", type: "pkcs8" }, subject));
    case "sec1":
      return withLabel(openPlain({ key, format: "der", type: "sec1" }, subject));
    case "encrypted":
      return withLabel(openEncryptedPkcs8(bytes, subject, passphrase));
    case "pkcs12":
      return openPkcs12(bytes, subject, passphrase);
    case null:
      throw inputError(subject, "is not a private key: neither PEM, nor DER (PKCS#1, PKCS#8), nor PKCS#12");
  }
}

/** Whether DER begins like one of the forms that private keys have. */
export function isDerKey(bytes: Uint8Array): boolean {
  return classify(bytes) !== null;
}

type DerForm = "pkcs1" | "pkcs8" | "sec1" | "encrypted" | "pkcs12";

function classify(bytes: Uint8Array): DerForm | null {
  // PKCS#12 may be BER: SEQUENCE of any kind of length, INTEGER 3, SEQUENCE.
  const [tag, length = 0] = bytes;
  const start = 2 + (length > 0x80 ? length - 0x80 : 0);
  const [integer, one, version, next] = bytes.subarray(start, start + 4);
  if (tag === TAG.sequence && integer === TAG.integer && one === 1) {
    if (next === TAG.sequence) return version === 3 ? "pkcs12" : "pkcs8";
    if (next === TAG.integer) return "pkcs1";
    if (next === TAG.octetString) return "sec1";
  }
  // An encrypted key begins with the algorithm, whose first element is an object identifier; a certificate begins
  // likewise but for that.
  const inner = start + 2 + ((one ?? 0) > 0x80 ? (one ?? 0) - 0x80 : 0);
  const isAlgorithm = integer === TAG.sequence && bytes[inner] === TAG.objectIdentifier;
  return tag === TAG.sequence && isAlgorithm ? "encrypted" : null;
}

/** EncryptedPrivateKeyInfo (RFC 5958 3). */
function openEncryptedPkcs8(der: Uint8Array, subject: string, passphrase: Uint8Array | null): KeyObject {
  const outer = new DerReader(der, subject);
  const info = outer.enter("an encrypted private key");
  const algorithm = info.enter("the encryption algorithm of the key");
  info.value(TAG.octetString, "the encrypted key");
  info.end("the encrypted private key");
  outer.end("the file");
  refuseEndlessRounds(algorithm, subject);
  return openEncrypted(subject, passphrase, (bytes) =>
    createPrivateKey({ key: Buffer.from(der), format: "der", type: "pkcs8", passphrase: bytes }),
  );
}

/** Of PBES1, and of PBKDF2 or scrypt in PBES2 (RFC 8018 A.3, A.2; RFC 7914 7.1). */
function refuseEndlessRounds(algorithm: DerReader, subject: string): void {
  const budget = new DerivationBudget(subject);
  const oid = algorithm.objectIdentifier("the encryption algorithm of the key");
  let parameters = algorithm.enter("parameters of the key's encryption");
  if (oid === "1.2.840.113549.1.5.13") {
    const derivation = parameters.enter("key derivation");
    const derivedBy = derivation.objectIdentifier("key derivation");
    if (derivedBy === SCRYPT) {
      const scrypt = derivation.enter("parameters of scrypt");
      scrypt.value(TAG.octetString, "salt");
      const [cost, blockSize] = [scrypt.smallInteger("cost of scrypt"), scrypt.smallInteger("block size of scrypt")];
      budget.spendScrypt(cost, blockSize, scrypt.smallInteger("parallelization of scrypt"));
      return;
    }
    // What else there may be OpenSSL refuses.
    if (derivedBy !== PBKDF2) return;
    parameters = derivation.enter("parameters of PBKDF2");
  }
  parameters.value(TAG.octetString, "salt");
  budget.spend(parameters.smallInteger("iteration count"));
}

const PBKDF2 = "1.2.840.113549.1.5.12";
const SCRYPT = "1.3.6.1.4.1.11591.4.11";

function openPlain(input: Parameters<typeof createPrivateKey>[0], subject: string): KeyObject {
  try {
    return createPrivateKey(input);
  } catch (error) {
    throw inputError(subject, "its private key is damaged, or of a type that OpenSSL does not support", error);
  }
}

function openEncrypted(subject: string, passphrase: Uint8Array | null, open: (bytes: Buffer) => KeyObject): KeyObject {
  if (passphrase === null) {
    throw inputError(subject, "is encrypted. Give its passphrase with --passphrase-file FILE or --passphrase-env NAME");
  }
  try {
    return open(Buffer.from(passphrase));
  } catch (error) {
    throw inputError(subject, "can't be opened with this passphrase: it is wrong, or the file is damaged", error);
  }
}
