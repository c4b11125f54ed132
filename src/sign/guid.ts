/** GUIDs as UEFI writes them (UEFI specification, appendix A): text with five groups, 16 bytes in mixed byte order. */

declare const brand: unique symbol;

/** A GUID in its one text form: lower-case hex, `8be4df61-93ca-11d2-aa0d-00e098032b8c`. */
export type Guid = string & { readonly [brand]: "Guid" };

export const GUID_BYTES = 16;

/** The first three groups are little-endian numbers, the last two are bytes in order. */
const BYTE_ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15] as const;

/** Parses a GUID, in either case; null when the text is not one. */
export function parseGuid(text: string): Guid | null {
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text) ? (text.toLowerCase() as Guid) : null;
}

/** A GUID from a specification. */
export function knownGuid(text: string): Guid {
  const guid = parseGuid(text);
  if (guid === null) throw new RangeError(`not a GUID: ${text}`);
  return guid;
}

/** The 16 bytes of a GUID. */
export function encodeGuid(guid: Guid): Uint8Array {
  const inOrder = Buffer.from(guid.replaceAll("-", ""), "hex");
  return Uint8Array.from(BYTE_ORDER, (index) => inOrder[index] ?? 0);
}

/** @param bytes exactly 16 */
export function decodeGuid(bytes: Uint8Array): Guid {
  if (bytes.length !== GUID_BYTES) throw new RangeError(`a GUID has ${GUID_BYTES} bytes, not ${bytes.length}`);
  const hex = Buffer.from(BYTE_ORDER.map((index) => bytes[index] ?? 0)).toString("hex");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-") as Guid;
}
