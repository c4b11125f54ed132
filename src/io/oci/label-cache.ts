/**
 * Files of the cache with labels that policies gave:
 *
 *     0   8 bytes   "SEALLBL" and the version of this format, 1
 *     8   u32       bytes of the table, little endian
 *    12   32 bytes  SHA-256 of all that the labels depend on
 *    44   32 bytes  SHA-256 of bytes 0 to 44 and the table
 *    76             the table, see `tree/selinux/label-table.ts`
 */
import { createHash } from "node:crypto";
import { Cursor, equalBytes, toHex, utf8 } from "../../bytes.ts";
import { concat } from "../../chunks.ts";
import { inputError } from "../../errors.ts";
import type { LabelStore } from "../../tree/rootfs.ts";
import { type CacheDirectory, readExactly } from "./cache-directory.ts";

const MAGIC = utf8("SEALLBL\x01");
const HEAD = 76;
/** What the checksum is of, besides the table. */
const CHECKED = 44;
const report = (reason: string) => `${reason}. The labels are found again`;
const WHAT = "an entry of the cache";

/** Labels in a directory. */
export function labelCache(directory: CacheDirectory): LabelStore {
  return {
    find: async (policy) => {
      const key = keyOf(policy);
      const path = await directory.pathOf(nameOf(key));
      if (path === null) return null;
      return directory.read(path, report, (descriptor, { size }, subject) =>
        decodeLabelEntry(readExactly(descriptor, 0, size, subject), key, subject),
      );
    },
    keep: async (policy, table) => {
      const key = keyOf(policy);
      const path = await directory.pathOf(nameOf(key));
      if (path !== null && directory.isWritable) await directory.write(path, encodeLabelEntry(key, table));
    },
  };
}

/** @param key SHA-256 of what the labels depend on */
export function encodeLabelEntry(key: Uint8Array, table: Uint8Array): Uint8Array {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, table.length, true);
  const head = concat([MAGIC, length, key]);
  return concat([head, checksum(head, table), table]);
}

/**
 * The table in a file.
 * @throws SealError `input` for anything but an entry for this key, whole and as it was written
 */
export function decodeLabelEntry(file: Uint8Array, key: Uint8Array, subject: string): Uint8Array {
  const cursor = new Cursor(file, subject);
  const head = cursor.slice(0, CHECKED, WHAT);
  if (!equalBytes(head.subarray(0, MAGIC.length), MAGIC)) {
    throw inputError(subject, "is damaged, or was written by another version of seal");
  }
  const table = cursor.slice(HEAD, cursor.u32(8, WHAT), WHAT);
  if (HEAD + table.length !== file.length) throw inputError(subject, "is damaged: it has the wrong length");
  if (!equalBytes(cursor.slice(CHECKED, 32, WHAT), checksum(head, table))) {
    throw inputError(subject, "is damaged: its checksum does not match");
  }
  if (!equalBytes(head.subarray(12), key)) throw inputError(subject, "is damaged: it is for another policy");
  return table;
}

function checksum(head: Uint8Array, table: Uint8Array): Uint8Array {
  return createHash("sha256").update(head).update(table).digest();
}

/** Each part after its length, so that no two lists of parts are one. */
function keyOf(parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${part.length} `).update(part);
  return hash.digest();
}

function nameOf(key: Uint8Array): string {
  return `${toHex(key)}.labels`;
}
