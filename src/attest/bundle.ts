/**
 * Sigstore bundles, version 0.3, around a DSSE envelope (secure-systems-lab, "DSSE", protocol 1.0.2): a statement, its
 * signature, and whose key verifies it. Made and checked offline, with keys; transparency logs are ignored.
 */
import {
  BUNDLE_V03_MEDIA_TYPE,
  type Bundle,
  bundleFromJSON,
  bundleToJSON,
  toDSSEBundle,
  ValidationError,
} from "@sigstore/bundle";
import { dsse } from "@sigstore/core";
import { utf8 } from "../bytes.ts";
import { inputError } from "../errors.ts";
import type { LabelledKey } from "../sign/rsa-signer.ts";
import { parseLimitedJson } from "./json.ts";
import { isSignatureBy, keyHint } from "./signer.ts";
import { STATEMENT_MEDIA_TYPE } from "./statement.ts";

export const BUNDLE_MEDIA_TYPE = BUNDLE_V03_MEDIA_TYPE;

/** What is signed for a statement: its pre-authentication encoding. */
export function toBeSigned(statement: Uint8Array): Uint8Array {
  return dsse.preAuthEncoding(STATEMENT_MEDIA_TYPE, Buffer.from(statement));
}

/** A bundle as bytes: the same statement and signature give the same ones. @param hint see {@link keyHint} */
export function formatBundle(statement: Uint8Array, signature: Uint8Array, hint: string): Uint8Array {
  const bundle = toDSSEBundle({
    artifact: Buffer.from(statement),
    artifactType: STATEMENT_MEDIA_TYPE,
    signature: Buffer.from(signature),
    keyHint: hint,
  });
  // cosign compares the identifier in an envelope with one that it computes in another way; without
  // one it tries the key.
  for (const one of bundle.content.dsseEnvelope.signatures) one.keyid = "";
  return utf8(JSON.stringify(bundleToJSON(bundle)));
}

/** A bundle whose form is valid; its signature has not been verified. */
export interface SignedStatement {
  readonly statement: Uint8Array;
  readonly signature: Uint8Array;
  /** Null: it names no key. */
  readonly hint: string | null;
}

/**
 * Reads a bundle.
 * @param subject names it in messages
 * @throws SealError `input` for anything but a bundle with one signature over one in-toto statement
 */
export function parseBundle(bytes: Uint8Array, subject: string): SignedStatement {
  return readSigned(parseLimitedJson(bytes, subject), subject);
}

/**
 * Reads a DSSE envelope on its own, as a bundle that names no key: what its keyid looks like is up to its signer, and it
 * may be anything (DSSE 1.0.2, "Signature Definition").
 * @throws SealError `input` as {@link parseBundle}
 */
export function parseEnvelope(bytes: Uint8Array, subject: string): SignedStatement {
  return readEnvelope(parseLimitedJson(bytes, subject), subject);
}

/**
 * Reads an attestation as a file: a bundle, or an envelope, as `cosign download attestation` prints it.
 * @throws SealError `input` as {@link parseBundle}; for cosign's other formats it says how to get one of these
 */
export function parseAttestation(bytes: Uint8Array, subject: string): SignedStatement {
  const text = new TextDecoder().decode(bytes.subarray(0, SIGNATURE_LIMIT)).trim();
  if (bytes.length < SIGNATURE_LIMIT && /^[A-Za-z0-9+/]{64,}={0,2}$/.test(text)) {
    throw inputError(
      subject,
      "is a bare signature (.sig), without what it signs. Give a Sigstore bundle: cosign attest-blob --bundle",
    );
  }
  const json = parseLimitedJson(bytes, subject);
  if (memberOf(json, "base64Signature") !== undefined || memberOf(json, "Base64Signature") !== undefined) {
    throw inputError(
      subject,
      "has the form of cosign before version 3. Have it written as a Sigstore bundle: cosign attest-blob --new-bundle-format --bundle",
    );
  }
  return memberOf(json, "payloadType") === undefined ? readSigned(json, subject) : readEnvelope(json, subject);
}

/** That of RSA with 8192 bits has 1368 characters. */
const SIGNATURE_LIMIT = 4096;

function readEnvelope(dsseEnvelope: unknown, subject: string): SignedStatement {
  const signatures = memberOf(dsseEnvelope, "signatures");
  const keyid = Array.isArray(signatures) ? memberOf(signatures[0], "keyid") : undefined;
  const verificationMaterial = { publicKey: { hint: typeof keyid === "string" ? keyid : "" }, tlogEntries: [] };
  const read = readSigned({ mediaType: BUNDLE_MEDIA_TYPE, verificationMaterial, dsseEnvelope }, subject);
  return { ...read, hint: null };
}

/** A DSSE envelope by itself: the same statement and signature give the same bytes. */
export function formatEnvelope({ statement, signature }: SignedStatement): Uint8Array {
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
  const signatures = [{ keyid: "", sig: base64(signature) }];
  return utf8(JSON.stringify({ payloadType: STATEMENT_MEDIA_TYPE, payload: base64(statement), signatures }));
}

function readSigned(json: unknown, subject: string): SignedStatement {
  const bundle = readBundle(json, subject);
  const unread = unreadPlace(json, bundleToJSON(bundle), "");
  if (unread !== null) throw inputError(subject, `has ${unread}, which bundles don't have`);
  const { content, verificationMaterial } = bundle;
  if (content.$case !== "dsseEnvelope") throw inputError(subject, "signs a file and is not an attestation");
  const { payload, payloadType, signatures } = content.dsseEnvelope;
  if (payloadType !== STATEMENT_MEDIA_TYPE) {
    throw inputError(
      subject,
      `signs something of the type ${JSON.stringify(payloadType)}, which is not an in-toto statement`,
    );
  }
  const [signature] = signatures;
  if (signature === undefined) throw inputError(subject, "is not signed");
  const { content: key } = verificationMaterial;
  const hint = key.$case === "publicKey" ? key.publicKey.hint : null;
  if (signature.keyid !== "" && signature.keyid !== hint) {
    throw inputError(subject, "names two keys, one in its envelope and another one next to it");
  }
  return { statement: payload, signature: signature.sig, hint };
}

function readBundle(json: unknown, subject: string): Bundle {
  const signatures = countSignatures(json);
  if (signatures > 1) {
    throw inputError(subject, `has ${signatures} signatures, but a bundle must have exactly one`);
  }
  try {
    return bundleFromJSON(json);
  } catch (error) {
    const reason = error instanceof ValidationError ? ` (${error.fields.join(", ")})` : "";
    throw inputError(subject, `is not a Sigstore bundle${reason}`, error);
  }
}

function countSignatures(json: unknown): number {
  const signatures = memberOf(memberOf(json, "dsseEnvelope"), "signatures");
  return Array.isArray(signatures) ? signatures.length : 0;
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return Object.entries(value).find(([key]) => key === name)?.[1];
}

/**
 * The first place in a JSON document that its reader did not read as written: an unknown field, or another spelling of
 * a value. This also refuses what Go and JavaScript read differently.
 * @param read the document written again after reading; empty values are left out there
 */
function unreadPlace(given: unknown, read: unknown, place: string): string | null {
  if (isEmpty(given) && (read === undefined || isEmpty(read))) return null;
  if (Array.isArray(given) || (typeof given === "object" && given !== null)) {
    if (typeof read !== "object" || read === null || Array.isArray(given) !== Array.isArray(read)) return place;
    for (const [name, value] of Object.entries(given)) {
      const found = unreadPlace(value, memberOf(read, name), place === "" ? name : `${place}.${name}`);
      if (found !== null) return found;
    }
    return null;
  }
  return given === read ? null : place;
}

/** Protocol buffers have no place for values like these in JSON. */
function isEmpty(value: unknown): boolean {
  if (value === "" || value === null || value === false || value === 0 || value === "0") return true;
  return typeof value === "object" && Object.keys(value ?? {}).length === 0;
}

/** Whose signature a bundle has. */
export type SignedBy =
  | { readonly kind: "key"; readonly label: string }
  /** It names none of the keys, and none of them verifies it. */
  | { readonly kind: "other" }
  /** It names one of the keys, whose signature it is not. */
  | { readonly kind: "forged"; readonly label: string }
  /** It is signed by this key, but its hint names another one, and nothing says who wrote that. */
  | { readonly kind: "misnamed"; readonly label: string };

/**
 * Finds the trusted key that a statement is signed by: all of them are tried.
 * @example
 * ```ts
 * import { createPublicKey } from "node:crypto";
 * import { readFile } from "node:fs/promises";
 * import { parseBundle, signedBy } from "seal";
 *
 * const bundle = parseBundle(await readFile("sealed-image.sigstore.json"), "sealed-image.sigstore.json");
 * const key = createPublicKey(await readFile("attest.pub"));
 * console.log(signedBy(bundle, [{ key, label: "attest.pub" }]).kind === "key");
 * ```
 */
export function signedBy({ statement, signature, hint }: SignedStatement, trusted: readonly LabelledKey[]): SignedBy {
  const data = toBeSigned(statement);
  const signer = trusted.find(({ key }) => isSignatureBy(key, data, signature));
  const named = trusted.find(({ key }) => keyHint(key) === hint);
  if (signer !== undefined && (hint === null || hint === "" || hint === keyHint(signer.key))) {
    return { kind: "key", label: signer.label };
  }
  if (named !== undefined) return { kind: "forged", label: named.label };
  return signer === undefined ? { kind: "other" } : { kind: "misnamed", label: signer.label };
}
