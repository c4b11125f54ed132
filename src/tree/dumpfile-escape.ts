/** The escapes of composefs dump files: composefs-dump(5), "ESCAPING". */

/** Bytes that need an escape: all outside of `!` to `~`, and the backslash. */
// biome-ignore lint/complexity/noUselessEscapeInRegex: the class reads as what is allowed
const SPECIAL = /[^!-\[\]-~]/g;
const SPECIAL_OR_EQUALS = /[^!-<>-[\]-~]/g;
const NAMED = new Map([
  ["\\", "\\\\"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
]);

function escapeChar(char: string): string {
  return NAMED.get(char) ?? `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

/** A path or a name in it. */
export function escapePath(bytes: Uint8Array): string {
  return latin1(bytes).replace(SPECIAL, escapeChar);
}

/** A field that may be missing: empty is `-`, and a lone `-` is escaped. */
export function escapeField(bytes: Uint8Array): string {
  if (bytes.length === 0) return "-";
  if (bytes.length === 1 && bytes[0] === 0x2d) return "\\x2d";
  return escapePath(bytes);
}

/** Name or value of an xattr. */
export function escapeXattr(bytes: Uint8Array): string {
  return latin1(bytes).replace(SPECIAL_OR_EQUALS, escapeChar);
}

const BACKSLASH = 0x5c;
const UNNAMED = new Map([
  [BACKSLASH, BACKSLASH],
  [0x6e, 0x0a],
  [0x72, 0x0d],
  [0x74, 0x09],
]);

/** Undoes the escapes; null when there is one that does not exist. Bytes without an escape are a view of the input. */
export function unescapeBytes(bytes: Uint8Array): Uint8Array | null {
  let read = bytes.indexOf(BACKSLASH);
  if (read < 0) return bytes;
  const result = Uint8Array.from(bytes);
  let length = read;
  while (read < bytes.length) {
    const byte = bytes[read++] as number;
    if (byte !== BACKSLASH) {
      result[length++] = byte;
      continue;
    }
    const kind = bytes[read++];
    if (kind === 0x78) {
      const high = hexDigit(bytes[read++]);
      const low = hexDigit(bytes[read++]);
      if (high < 0 || low < 0) return null;
      result[length++] = high * 16 + low;
    } else {
      const meant = kind === undefined ? undefined : UNNAMED.get(kind);
      if (meant === undefined) return null;
      result[length++] = meant;
    }
  }
  return result.slice(0, length);
}

function hexDigit(byte: number | undefined): number {
  if (byte === undefined) return -1;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : -1;
}
