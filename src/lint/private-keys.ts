/** Recognises private keys by their bytes, and files that may hold one by their place and size. */
import { equalBytes, latin1, utf8 } from "../bytes.ts";

/** A private key is smaller, even with certificates and comments. */
const MAX_BYTES = 64n << 10n;
/** OpenSSL's smallest PKCS#8 keys (Ed25519) have 48 bytes. */
const MIN_BYTES = 40n;
/** Names that keys have, wherever they are. */
const KEY_NAME = /(?:\.(?:key|pem|p12|pfx|pk8|p8|der|jks|gpg|asc)|^id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?|_key)$/i;

const PEM = /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----\r?\n/;
/** After the version 0 of PKCS#8 (RFC 5958): AlgorithmIdentifiers of rsaEncryption, id-ecPublicKey and Ed25519. */
const PKCS8_ALGORITHMS = ["300d06092a864886f70d010101", "301306072a8648ce3d0201", "300506032b6570"].map((hex) =>
  Buffer.from(hex, "hex"),
);
/** PKCS#12 (RFC 7292): version 3 and a ContentInfo of the type data. */
const PKCS12 = Buffer.from("0201033082", "hex");

const NO_NAME = new Uint8Array();
const USR = utf8("usr");
const SHARE = utf8("share");
const DOC = utf8("doc");

/** Whether a file is neither too small nor too large for a key. */
export function isKeySize(bytes: bigint): boolean {
  return bytes >= MIN_BYTES && bytes <= MAX_BYTES;
}

/** Decides by name below /usr, where packages put thousands of other small files, and by size elsewhere. */
export function mayBeKey(components: readonly Uint8Array[], size: bigint): boolean {
  if (!isKeySize(size)) return false;
  const [top = NO_NAME, second = NO_NAME, third = NO_NAME] = components;
  if (!equalBytes(top, USR)) return true;
  // Packages have examples in their documentation.
  return KEY_NAME.test(latin1(components.at(-1) ?? top)) && !(equalBytes(second, SHARE) && equalBytes(third, DOC));
}
/** What kind of private key it is; null if it is not one. */
export function keyKind(bytes: Uint8Array): string | null {
  const header = PEM.exec(latin1(bytes));
  if (header !== null) {
    return header[0].includes("ENCRYPTED") ? "an encrypted private key" : "a private key";
  }
  if (bytes[0] !== 0x30) return null;
  const body = bytes.subarray(derHeaderLength(bytes));
  const version0 = body[0] === 0x02 && body[1] === 1 && body[2] === 0;
  if (version0 && PKCS8_ALGORITHMS.some((algorithm) => startsWith(body.subarray(3), algorithm)))
    return "a private key (DER)";
  return startsWith(body, PKCS12) ? "a PKCS#12 container, which is for private keys" : null;
}

/** Bytes of tag and length. */
function derHeaderLength(bytes: Uint8Array): number {
  const length = bytes[1] ?? 0;
  return length < 0x80 ? 2 : 2 + (length & 0x7f);
}

function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return bytes.length >= prefix.length && equalBytes(bytes.subarray(0, prefix.length), prefix);
}
