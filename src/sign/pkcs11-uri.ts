/** PKCS#11 URIs (RFC 7512): which key, on which token, through which module. Only reads; `io/pkcs11/` looks for it. */
import { utf8 } from "../bytes.ts";
import { concat } from "../chunks.ts";
import { SealError } from "../errors.ts";

/** A PKCS#11 URI, taken apart (RFC 7512). */
export interface Pkcs11Uri {
  /** What the token must say of itself; attributes that are not there match every token. */
  readonly token: Readonly<Partial<Record<TokenAttribute, string>>>;
  readonly slotId: bigint | null;
  /** CKA_ID of the key; null matches every one, as with `object`, its CKA_LABEL. */
  readonly id: Uint8Array | null;
  readonly object: Uint8Array | null;
  /** Path of the module; null: the system's. */
  readonly modulePath: string | null;
  readonly pin:
    | { readonly kind: "value"; readonly bytes: Uint8Array }
    | { readonly kind: "file"; readonly path: string }
    | null;
  /** For messages: the URI without a PIN in it. */
  readonly subject: string;
}

/** An attribute of a PKCS#11 URI. */
export type TokenAttribute = "token" | "manufacturer" | "model" | "serial";
const TOKEN_ATTRIBUTES: readonly string[] = ["token", "manufacturer", "model", "serial"] satisfies TokenAttribute[];
const PATH_ATTRIBUTES: readonly string[] = [...TOKEN_ATTRIBUTES, "slot-id", "id", "object", "type"];
const QUERY_ATTRIBUTES: readonly string[] = ["module-path", "pin-value", "pin-source"];

const SCHEME = "pkcs11:";

/** Whether text is a PKCS#11 URI, good or not. The scheme may be in capitals (RFC 3986 3.1). */
export function isPkcs11Uri(text: string): boolean {
  return text.slice(0, SCHEME.length).toLowerCase() === SCHEME;
}

/**
 * Takes a PKCS#11 URI apart (RFC 7512).
 * @param uri starts with `pkcs11:`
 * @throws SealError `usage` for what RFC 7512 does not allow, and for attributes that can't be looked for: passing them
 *   over could find another key than the one that is meant
 */
export function parsePkcs11Uri(uri: string): Pkcs11Uri {
  const subject = uri.replace(/[^ -~]/g, "?").replace(/(pin-value=)[^&]*/gi, "$1…");
  const [path = "", query = "", ...rest] = uri.slice(SCHEME.length).split("?");
  if (rest.length > 0) throw uriError(subject, "has two question marks");
  const attributes = readAttributes(path, ";", PATH_ATTRIBUTES, subject);
  const parameters = readAttributes(query, "&", QUERY_ATTRIBUTES, subject);
  const type = text(attributes, "type", subject);
  if (type !== null && type !== "private") throw uriError(subject, `type=${type} is not a private key`);
  const token: Partial<Record<TokenAttribute, string>> = {};
  for (const name of TOKEN_ATTRIBUTES as readonly TokenAttribute[]) {
    const value = text(attributes, name, subject);
    if (value !== null) token[name] = value;
  }
  const slot = text(attributes, "slot-id", subject);
  if (slot !== null && !/^\d{1,19}$/.test(slot)) throw uriError(subject, "slot-id is not a decimal number");
  const pinValue = parameters.get("pin-value");
  const pinSource = text(parameters, "pin-source", subject);
  if (pinValue !== undefined && pinSource !== null) throw uriError(subject, "has both pin-value and pin-source");
  return {
    token,
    slotId: slot === null ? null : BigInt(slot),
    id: attributes.get("id") ?? null,
    object: attributes.get("object") ?? null,
    modulePath: text(parameters, "module-path", subject),
    pin:
      pinValue !== undefined
        ? { kind: "value", bytes: pinValue }
        : pinSource !== null
          ? { kind: "file", path: sourcePath(pinSource, subject) }
          : null,
    subject,
  };
}

function readAttributes(
  part: string,
  separator: string,
  known: readonly string[],
  subject: string,
): ReadonlyMap<string, Uint8Array> {
  const attributes = new Map<string, Uint8Array>();
  for (const attribute of part === "" ? [] : part.split(separator)) {
    const at = attribute.indexOf("=");
    const name = at === -1 ? attribute : attribute.slice(0, at);
    if (at === -1 || !known.includes(name)) {
      throw uriError(subject, `"${name.replace(/[^ -~]/g, "?").slice(0, 40)}" is not one of ${known.join(", ")}`);
    }
    if (attributes.has(name)) throw uriError(subject, `has ${name} twice`);
    attributes.set(name, decode(attribute.slice(at + 1), name, subject));
  }
  return attributes;
}

/**
 * Percent-encoding, to bytes. Characters that should be encoded and are not, spaces and umlauts, are taken as UTF-8.
 */
function decode(value: string, name: string, subject: string): Uint8Array {
  const parts = value.split(/(%[0-9a-fA-F]{2})/);
  if (parts.some((part, index) => index % 2 === 0 && part.includes("%"))) {
    throw uriError(subject, `${name} has a % that is not followed by two hexadecimal digits`);
  }
  return concat(parts.map((part, index) => (index % 2 === 0 ? utf8(part) : Buffer.from(part.slice(1), "hex"))));
}

function text(attributes: ReadonlyMap<string, Uint8Array>, name: string, subject: string): string | null {
  const bytes = attributes.get(name);
  if (bytes === undefined) return null;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw uriError(subject, `${name} is not valid UTF-8`);
  }
}

/** RFC 7512 2.4 leaves open what a source is; all implementations take paths and file URIs. */
function sourcePath(source: string, subject: string): string {
  const path = source.replace(/^file:(?:\/\/(?=\/))?/, "");
  if (path === "" || path.startsWith("|")) throw uriError(subject, "pin-source is not a file");
  return path;
}

function uriError(subject: string, reason: string): SealError {
  return new SealError("usage", `${subject}: ${reason}`);
}
