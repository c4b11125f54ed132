/**
 * The form of files of the cache that are found by a hash of what their contents depend on:
 *
 *     0   8 bytes   what it is and the version of its format
 *     8   u32       bytes of the contents, little endian
 *    12   32 bytes  the key, SHA-256
 *    44   32 bytes  SHA-256 of bytes 0 to 44 and the contents
 *    76             the contents
 */
import { createHash } from "node:crypto";
import { Cursor, equalBytes } from "../../bytes.ts";
import { concat } from "../../chunks.ts";
import { inputError } from "../../errors.ts";

const HEAD = 76;
/** What the checksum is of, besides the contents. */
const CHECKED = 44;
const WHAT = "an entry of the cache";

/** @param magic eight bytes */
export function encodeKeyedEntry(magic: Uint8Array, key: Uint8Array, contents: Uint8Array): Uint8Array {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, contents.length, true);
  const head = concat([magic, length, key]);
  return concat([head, checksum(head, contents), contents]);
}

/**
 * The contents of a file.
 * @throws SealError `input` for anything but an entry of this kind for this key, whole and as it was written
 */
export function decodeKeyedEntry(magic: Uint8Array, file: Uint8Array, key: Uint8Array, subject: string): Uint8Array {
  const cursor = new Cursor(file, subject);
  const head = cursor.slice(0, CHECKED, WHAT);
  if (!equalBytes(head.subarray(0, magic.length), magic)) {
    throw inputError(subject, "is damaged, or was written by another version of seal");
  }
  const contents = cursor.slice(HEAD, cursor.u32(8, WHAT), WHAT);
  if (HEAD + contents.length !== file.length) throw inputError(subject, "is damaged: it has the wrong length");
  if (!equalBytes(cursor.slice(CHECKED, 32, WHAT), checksum(head, contents))) {
    throw inputError(subject, "is damaged: its checksum does not match");
  }
  if (!equalBytes(head.subarray(12), key)) throw inputError(subject, "is damaged: it is for something else");
  return contents;
}

function checksum(head: Uint8Array, contents: Uint8Array): Uint8Array {
  return createHash("sha256").update(head).update(contents).digest();
}

/** The key of parts, each of which counts with its length, so that no two lists of parts have one key. */
export function partsKey(parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${part.length} `).update(part);
  return hash.digest();
}
