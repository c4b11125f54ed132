/**
 * Secure Boot variables as firmware measured them, compared with those that it should have (UEFI_VARIABLE_DATA;
 * the profile, 10.2.6).
 */
import { Cursor, escapeControls, toHex } from "../bytes.ts";
import { sha256Hex } from "../pe/digest.ts";
import type { LoggedEvent } from "../pe/event-log.ts";
import { readable } from "../pe/log-event.ts";
import { shortDigest, someOf } from "../text.ts";
import { readListedCertificate } from "./database.ts";
import { decodeGuid, GUID_BYTES } from "./guid.ts";
import { type ListedSignature, parseSignatureLists, type SignatureList, signatureKind, X509_TYPE } from "./siglist.ts";

/** A variable, or the entry of one, in an event. */
export interface LoggedVariable {
  readonly name: string;
  readonly value: Uint8Array;
}

/** Null when the data are not a variable. They are what was measured only if the digest is their hash. */
export function loggedVariable({ data }: LoggedEvent): LoggedVariable | null {
  return readable(() => {
    const cursor = new Cursor(data, "");
    const lengths = [GUID_BYTES, GUID_BYTES + 8].map((offset) => Number(cursor.u64(offset, "the length")));
    const [characters = 0, size = 0] = lengths;
    const name = cursor.slice(GUID_BYTES + 16, 2 * characters, "the name");
    const value = cursor.slice(GUID_BYTES + 16 + name.length, size, "the value");
    return { name: Buffer.from(name).toString("utf16le"), value };
  });
}

/** What the value of EV_EFI_VARIABLE_AUTHORITY is of: `CN=Secure Boot db`. */
export function authorityText({ value }: LoggedVariable): string {
  return value.length <= GUID_BYTES
    ? `an entry of ${value.length} bytes`
    : entryText(X509_TYPE, { owner: decodeGuid(value.subarray(0, GUID_BYTES)), data: value.subarray(GUID_BYTES) });
}

/**
 * What the lists in a variable have, and those that it should hold have not, and the other way round, in words.
 * @param expected the value that it should have
 * @throws SealError `input` when the expected value is corrupt
 */
export function listDifference({ name, value }: LoggedVariable, expected: Uint8Array): string {
  const own = entriesOf(parseSignatureLists(expected, name));
  const logged = readable(() => entriesOf(parseSignatureLists(value, name)));
  if (logged === null) return `it holds ${value.length} bytes that are not signature lists`;
  if (logged.length === 0) return "it is empty";
  const without = (all: readonly Entry[], others: readonly Entry[]) => {
    const known = new Set(others.map(({ key }) => key));
    return all.filter(({ key }) => !known.has(key)).map(({ text }) => text);
  };
  const [more, fewer] = [without(logged, own), without(own, logged)];
  const parts = [
    ...(more.length === 0 ? [] : [`it has ${someOf(more, 3)}, which should not be there`]),
    ...(fewer.length === 0 ? [] : [`it lacks ${someOf(fewer, 3)}`]),
  ];
  return parts.join("; ") || "it has the same entries in another order, or with other owners";
}

interface Entry {
  readonly key: string;
  readonly text: string;
}

function entriesOf(lists: readonly SignatureList[]): Entry[] {
  return lists.flatMap(({ type, signatures }) =>
    signatures.map((signature) => ({
      key: `${type} ${Buffer.from(signature.data).toString("latin1")}`,
      text: entryText(type, signature),
    })),
  );
}

/** The subject of a certificate, and its beginning where there are others of that name. */
function entryText(type: SignatureList["type"], { data }: ListedSignature): string {
  const kind = signatureKind(type);
  const hash = shortDigest(sha256Hex([data]));
  switch (kind.kind) {
    case "certificate": {
      const certificate = readListedCertificate(data, "entry");
      return "problem" in certificate
        ? `an entry of ${data.length} bytes`
        : `${escapeControls(certificate.subjectText)} (SHA-256 ${hash})`;
    }
    case "image hash":
      return `the hash ${shortDigest(toHex(data))} of a program`;
    case "certificate hash":
      return `the hash ${shortDigest(toHex(data))} of a certificate`;
    case "other":
      return `an entry of another type (${hash})`;
  }
}
