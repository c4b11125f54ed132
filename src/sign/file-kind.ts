/**
 * What a file about keys of firmware is, by its content: one answer for all verbs. Binary formats come first, as their
 * entries may be anything: efisiglist of pesign puts the text of PEM certificates into signature lists.
 */
import { equalBytes } from "../bytes.ts";
import { SealError } from "../errors.ts";
import { isVariableUpdate } from "./authvar.ts";
import { decodeGuid, GUID_BYTES } from "./guid.ts";
import { isVariableStore } from "./ovmf.ts";
import { isPem } from "./pem.ts";
import { parseSignatureLists, signatureKind } from "./siglist.ts";

/**
 * `attributes`: EFI_VARIABLE_… bits that Linux' file of a variable (`/sys/firmware/efi/efivars/NAME-GUID`) has in
 * front; null without.
 */
export type KeyFileKind =
  | { readonly kind: "program" | "store" | "pem" | "der" | "empty" }
  | { readonly kind: "update" | "lists"; readonly attributes: number | null; readonly bytes: Uint8Array }
  | { readonly kind: "unknown"; readonly reason: string };

const ATTRIBUTES_BYTES = 4;
/** EFI_VARIABLE_BOOTSERVICE_ACCESS, without which nothing sees a variable. */
const BOOTSERVICE_ACCESS = 0x02;
const DER_SEQUENCE = 0x30;

/** @returns for `unknown` why it is not a row of signature lists, which have nothing to know them by */
export function keyFileKind(bytes: Uint8Array): KeyFileKind {
  if (bytes.length === 0) return { kind: "empty" };
  if (bytes[0] === 0x4d && bytes[1] === 0x5a) return { kind: "program" };
  if (isVariableStore(bytes)) return { kind: "store" };
  const own = valueKind(bytes);
  if (own.kind !== null) return { kind: own.kind, attributes: null, bytes };
  const attributes = attributesOf(bytes);
  if (attributes !== null) {
    const value = bytes.subarray(ATTRIBUTES_BYTES);
    const { kind } = value.length === 0 ? ({ kind: "lists" } as const) : valueKind(value);
    if (kind !== null) return { kind, attributes, bytes: value };
  }
  if (bytes[0] === DER_SEQUENCE) return { kind: "der" };
  if (isPem(bytes)) return { kind: "pem" };
  return { kind: "unknown", reason: own.reason };
}

function valueKind(
  bytes: Uint8Array,
): { readonly kind: "update" | "lists" } | { readonly kind: null; readonly reason: string } {
  if (isVariableUpdate(bytes)) return { kind: "update" };
  // A known type makes it a list, whatever is wrong after it; any other 16 bytes only if the whole file is one.
  if (bytes.length >= GUID_BYTES) {
    const kind = signatureKind(decodeGuid(bytes.subarray(0, GUID_BYTES)));
    if (kind.kind !== "other" || kind.isKnown) return { kind: "lists" };
  }
  try {
    parseSignatureLists(bytes, "");
    return { kind: "lists" };
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    return { kind: null, reason: error.message.replace(/^: /, "") };
  }
}

/** The first four bytes, when they can be attributes of a variable that a running system sees. */
function attributesOf(bytes: Uint8Array): number | null {
  const [low = 0] = bytes;
  const others = bytes.subarray(1, ATTRIBUTES_BYTES);
  if (others.length < ATTRIBUTES_BYTES - 1 || !equalBytes(others, new Uint8Array(3))) return null;
  return (low & BOOTSERVICE_ACCESS) === 0 ? null : low;
}
