/**
 * PAX extended headers (POSIX.1-2017 pax, "pax Extended Header"), byte for byte: values are names and binary xattrs as often as they are
 * text.
 */
import { isUtf8 } from "node:buffer";
import { latin1, utf8 } from "../../bytes.ts";
import { concat } from "../../chunks.ts";
import { inputError } from "../../errors.ts";
import { sortXattrs, type Xattr } from "../../tree/node.ts";

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
 * @param negativeTimes whether times before 1970 are taken; container tools refuse them
 * @throws SealError `input` for a malformed record, a number that is none, or a sparse file
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
  for (const { key, value } of records(data, subject)) {
    const name = latin1(key);
    switch (name) {
      case "path":
        values.path = value;
        break;
      case "linkpath":
        values.linkPath = value;
        break;
      case "size":
      case "uid":
      case "gid":
        values[name] = unsigned(latin1(value), name, subject);
        break;
      case "mtime": {
        const { sec, nsec } = parseTime(latin1(value), subject, negativeTimes);
        // When it stands twice, peers take the seconds of the last and the fraction of the first.
        values.mtime = { sec, nsec: values.mtime?.nsec ?? nsec };
        break;
      }
      default:
        if (name.startsWith("GNU.sparse.")) throw inputError(subject, "sparse files in archives are not supported");
        if (name.startsWith(XATTR_PREFIX)) {
          xattrs.set(name, { name: key.subarray(XATTR_PREFIX.length), value });
        }
    }
  }
  values.xattrs = sortXattrs([...xattrs.values()]);
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

/** `length key=value\n`; what follows the last record without being one is padding. */
function* records(data: Uint8Array, subject: string): Generator<PaxRecord> {
  for (let rest = data; rest.length > 0; ) {
    const space = rest.indexOf(0x20);
    const digits = space < 0 ? "" : latin1(rest.subarray(0, space));
    if (!/^\d{1,15}$/.test(digits)) return;
    const length = Number(digits);
    const equals = rest.indexOf(0x3d, space);
    if (length > rest.length || length < space + 3 || equals < 0 || equals >= length || rest[length - 1] !== 0x0a) {
      throw inputError(subject, "a PAX header is malformed: the archive is corrupt");
    }
    const key = rest.subarray(space + 1, equals);
    if (!isUtf8(key)) throw inputError(subject, "a PAX header has a key that is not UTF-8");
    yield { key, value: rest.subarray(equals + 1, length - 1) };
    rest = rest.subarray(length);
  }
}

function unsigned(text: string, what: string, subject: string): bigint {
  if (!/^\+?\d{1,20}$/.test(text))
    throw inputError(subject, `a PAX header has "${text}" as ${what}, which is no number`);
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
  if (sec <= -(1n << 63n)) throw inputError(subject, "a PAX header has a mtime that is too far in the past");
  return nsec === 0 ? { sec, nsec } : { sec: sec - 1n, nsec: NANO - nsec };
}
