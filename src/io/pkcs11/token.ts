/**
 * Signs with a key in a PKCS#11 token (OASIS PKCS#11 2.40): a smart card, an HSM, a software token. Each operation
 * opens a session and leaves nothing open.
 */
import { createHash } from "node:crypto";
import { concat } from "../../chunks.ts";
import { inputError } from "../../errors.ts";
import { CKR, Module } from "./module.ts";
import { attribute, CKA, findToken, number, type Pkcs11Key, Session } from "./session.ts";

const CKO = { certificate: 1n, privateKey: 3n };
const CKM = { rsaPkcs: 0x1n, sha256RsaPkcs: 0x40n, ecdsa: 0x1041n };
/** CKK_RSA is 0. */
const CKK_EC = 3;

/** RFC 8017 9.2: what precedes a SHA-256 digest if a token only does the RSA part. */
const DIGEST_INFO = Buffer.from("3031300d060960864801650304020105000420", "hex");
const MAX_CERTIFICATE = 1 << 16;

/**
 * The certificates in the token with the key's CKA_ID, DER.
 * @param kind of the key: for firmware RSA only
 * @throws SealError as {@link signWithToken}
 */
export function tokenCertificates(key: Pkcs11Key, kind: "rsa" | "any" = "rsa"): Uint8Array[] {
  return withSession(key, (session) => {
    const found = kind === "rsa" ? findRsaKey(session, key) : findKey(session, key);
    const id = session.read(found, CKA.id, 1024);
    const template = [attribute(CKA.class, number(CKO.certificate)), attribute(CKA.id, id ?? new Uint8Array())];
    if (id === null || id.length === 0) return [];
    return session.find(template).flatMap((found) => session.read(found, CKA.value, MAX_CERTIFICATE) ?? []);
  });
}

/**
 * Signs with RSA PKCS#1 v1.5 and SHA-256.
 * @returns the raw signature; it has not been checked
 * @throws SealError `input` when no or several tokens or keys are what is looked for, or the PIN is missing or wrong;
 *   `external` when the module can't be loaded or fails
 */
export function signWithToken(key: Pkcs11Key, data: Uint8Array): Uint8Array {
  return withSession(key, (session) => rsaSignature(session, findRsaKey(session, key), data));
}

/**
 * Signs with SHA-256 and whatever key it is: RSA PKCS#1 v1.5, or ECDSA, which tokens give as two
 * numbers of equal length.
 * @throws SealError as {@link signWithToken}
 */
export function attestWithToken(
  key: Pkcs11Key,
  data: Uint8Array,
): { readonly kind: "rsa" | "ecdsa"; readonly signature: Uint8Array } {
  return withSession(key, (session) => {
    const handle = findKey(session, key);
    if (session.read(handle, CKA.keyType, 8)?.[0] !== CKK_EC) {
      return { kind: "rsa", signature: rsaSignature(session, handle, data) };
    }
    if (!session.signInit(CKM.ecdsa, handle)) throw session.error("this key or token does not sign with ECDSA");
    return { kind: "ecdsa", signature: session.sign(createHash("sha256").update(data).digest(), handle) };
  });
}

function rsaSignature(session: Session, handle: bigint, data: Uint8Array): Uint8Array {
  const digest = createHash("sha256").update(data).digest();
  // All tokens do the RSA part alone, but for some HSMs, which insist on hashing themselves.
  if (session.signInit(CKM.rsaPkcs, handle)) return session.sign(concat([DIGEST_INFO, digest]), handle);
  if (session.signInit(CKM.sha256RsaPkcs, handle)) return session.sign(data, handle);
  throw session.error("this key or token does not sign with RSA PKCS#1 v1.5");
}

function findKey(session: Session, key: Pkcs11Key): bigint {
  const template = [attribute(CKA.class, number(CKO.privateKey))];
  if (key.id !== null) template.push(attribute(CKA.id, key.id));
  if (key.object !== null) template.push(attribute(CKA.label, key.object));
  const [found, second] = session.find(template);
  if (found === undefined) {
    throw inputError(key.subject, "the token has no such private key. List its objects with: pkcs11-tool -O --login");
  }
  if (second !== undefined) {
    throw inputError(key.subject, "the token has several such private keys. Choose one with id= or object=");
  }
  return found;
}

function findRsaKey(session: Session, key: Pkcs11Key): bigint {
  const found = findKey(session, key);
  const type = session.read(found, CKA.keyType, 8);
  if (type?.some((byte) => byte !== 0)) {
    throw inputError(key.subject, "this is not an RSA key, and Secure Boot firmware accepts no others");
  }
  return found;
}

function withSession<Result>(key: Pkcs11Key, work: (session: Session) => Result): Result {
  const module = new Module(key.modules, key.subject);
  const initialized = module.call("C_Initialize", null);
  if (initialized !== CKR.alreadyInitialized) module.check("C_Initialize", initialized);
  try {
    const { slot, flags } = findToken(module, key);
    const session = new Session(module, slot, key);
    session.login(flags);
    return work(session);
  } finally {
    // Closes sessions and ends the login too.
    if (initialized === CKR.ok) module.call("C_Finalize", null);
  }
}
