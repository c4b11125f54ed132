/**
 * PAX extended headers (POSIX.1-2017 pax, "pax Extended Header"), byte for byte: values are names and binary xattrs as
 * often as they are text.
 */
import { isUtf8 } from "node:buffer";
import { latin1, utf8 } from "../../bytes.ts";
import { concat } from "../../chunks.ts";
import { inputError } from "../../errors.ts";
import { sortXattrs, type Xattr } from "../../tree/node.ts";
import { ownBytes } from "./header.ts";

export interface PaxValues {
  readonly path: Uint8Array | null;
  readonly linkPath: Uint8Array | null;
  readonly size: bigint | null;
  readonly uid: bigint | null;
  readonly gid: bigint | null;
  readonly mtime: { readonly sec: bigint; readonly nsec: number } | null;
  readonly xattrs: readonly Xattr[];
}

/** Before the names of xattrs, as all container tools have it. */
export const XATTR_PREFIX = "SCHILY.xattr.";
/** All extensions of one entry together in bytes; container tools take no more. */
export const METADATA_LIMIT = 1024 * 1024;
const NANO = 1_000_000_000;

/**
 * @param data copied where something of it is kept
 * @param negativeTimes whether times before 1970 are taken; container tools refuse them
 * @throws SealError `input` for a malformed record, an invalid number, or a sparse file
 */
export function parsePax(data: Uint8Array, subject: string, negativeTimes: boolean): PaxValues {
  const values: { -readonly [Key in keyof PaxValues]: PaxValues[Key] } = {
    path: null,
    linkPath: null,
    size: null,
    uid: null,
    gid: null,
    mtime: null,
    xattrs: [],
  };
  const xattrs = new Map<string, Xattr>();
  const text = latin1(data);
  for (let start = 0; start < data.length; ) {
    const record = recordAt(text, start, subject);
    if (record === null) break;
    const { key, value, end } = record;
    const name = text.slice(key, value - 1);
    start = end;
    switch (name) {
      case "path":
        values.path = ownBytes(data.subarray(value, end - 1));
        break;
      case "linkpath":
        values.linkPath = ownBytes(data.subarray(value, end - 1));
        break;
      case "size":
      case "uid":
      case "gid":
        values[name] = unsigned(text.slice(value, end - 1), name, subject);
        break;
      case "mtime": {
        const { sec, nsec } = parseTime(text.slice(value, end - 1), subject, negativeTimes);
        // If it occurs twice, peers take the seconds of the last and the fraction of the first.
        values.mtime = { sec, nsec: values.mtime?.nsec ?? nsec };
        break;
      }
      default:
        if (!isUtf8(data.subarray(key, value - 1))) {
          throw inputError(subject, "a PAX header has a key that is not UTF-8");
        }
        if (name.startsWith("GNU.sparse.")) throw inputError(subject, "sparse files in archives are not supported");
        if (name.startsWith(XATTR_PREFIX)) {
          xattrs.set(name, {
            name: ownBytes(data.subarray(key + XATTR_PREFIX.length, value - 1)),
            value: ownBytes(data.subarray(value, end - 1)),
          });
        }
    }
  }
  if (xattrs.size > 0) values.xattrs = sortXattrs([...xattrs.values()]);
  return values;
}

export interface PaxRecord {
  /** UTF-8, without an equals sign. */
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** The content of a PAX header. Each record starts with its own length, the digits of that length included. */
export function paxRecords(list: readonly PaxRecord[]): Uint8Array {
  return concat(
    list.flatMap(({ key, value }) => {
      const rest = key.length + value.length + 3;
      let length = rest;
      while (String(length).length + rest !== length) length = String(length).length + rest;
      return [utf8(`${length} `), key, utf8("="), value, utf8("\n")];
    }),
  );
}

/** Where a record has its key and its value, which an equals sign is between, and where the next one begins. */
interface RecordPlace {
  readonly key: number;
  readonly value: number;
  readonly end: number;
}

/** `length key=value\n`. @returns null: what follows the last record without being one is padding */
function recordAt(text: string, start: number, subject: string): RecordPlace | null {
  const space = text.indexOf(" ", start);
  const digits = space < 0 ? "" : text.slice(start, space);
  if (!/^\d{1,15}$/.test(digits)) return null;
  const end = start + Number(digits);
  const equals = text.indexOf("=", space);
  if (end > text.length || end < space + 3 || equals < 0 || equals >= end || text[end - 1] !== "\n") {
    throw inputError(subject, "a PAX header is malformed: the archive is corrupt");
  }
  return { key: space + 1, value: equals + 1, end };
}

function unsigned(text: string, what: string, subject: string): bigint {
  if (!/^\+?\d{1,20}$/.test(text))
    throw inputError(subject, `a PAX header has "${text}" as ${what}, which is not a number`);
  const value = BigInt(text.replace("+", ""));
  if (value >= 1n << 64n) throw inputError(subject, `a PAX header has a ${what} that is too large`);
  return value;
}

function parseTime(text: string, subject: string, negativeTimes: boolean): { sec: bigint; nsec: number } {
  const dot = text.indexOf(".");
  const whole = dot < 0 ? text : text.slice(0, dot);
  const digits = dot < 0 ? "" : text.slice(dot + 1, dot + 10);
  const nsec = /^\d+$/.test(digits) ? Number(digits.padEnd(9, "0")) : 0;
  if (!whole.startsWith("-")) return { sec: BigInt.asIntN(64, unsigned(whole, "mtime", subject)), nsec };
  if (!negativeTimes) {
    throw inputError(subject, `a PAX header has the mtime ${text}; layers can't have times before 1970`);
  }
  const sec = -unsigned(whole.slice(1), "mtime", subject);
  if (sec <= -(1n << 63n)) throw inputError(subject, "a PAX header has an mtime that is too far in the past");
  return nsec === 0 ? { sec, nsec } : { sec: sec - 1n, nsec: NANO - nsec };
}
