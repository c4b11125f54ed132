/**
 * Writes the metadata of tar archives as container tools read them: ustar headers (POSIX.1-2017 pax, "ustar Interchange
 * Format"), and PAX headers before them for what does not fit. The same entry gives the same bytes: no names of users,
 * no times but the entry's. Contents are the caller's: after the header of a regular file come its bytes and
 * {@link tarPadding}; {@link TAR_END} closes the archive.
 */
import { displayBytes, utf8 } from "../../bytes.ts";
import { concat } from "../../chunks.ts";
import { inputError } from "../../errors.ts";
import type { Metadata } from "../../tree/node.ts";
import { BLOCK, fitsOctal, formatHeader, type HeaderFields } from "./header.ts";
import { METADATA_LIMIT, type PaxRecord, paxRecords, XATTR_PREFIX } from "./pax.ts";
import type { TarEntry } from "./read.ts";

/** Two zero blocks. */
export const TAR_END: Uint8Array = new Uint8Array(2 * BLOCK);

const NAME_FIELD = 100;
const PREFIX_FIELD = 155;
const NONE = new Uint8Array();
const SLASH = 0x2f;
const NANO = 1_000_000_000;

/** The type flags of ustar. */
const TYPES: Readonly<Record<TarEntry["item"]["kind"], string>> = {
  regular: "0",
  hardlink: "1",
  symlink: "2",
  char: "3",
  block: "4",
  directory: "5",
  fifo: "6",
};

/**
 * The header blocks of one entry.
 * @param entry its path is relative, with or without a slash at the end; empty: the root. A regular file's content
 *   is its size in bytes
 * @param subject the archive in messages
 * @throws SealError `input` for xattrs that no archive can hold
 */
export function tarEntry({ path, metadata, item }: TarEntry, subject: string): Uint8Array {
  const pax: PaxRecord[] = [];
  const name = storedName(path, item.kind === "directory");
  const fitting = splitName(name);
  if (fitting === null) pax.push({ key: utf8("path"), value: name });
  const link = item.kind === "symlink" || item.kind === "hardlink" ? item.target : NONE;
  if (link.length > NAME_FIELD) pax.push({ key: utf8("linkpath"), value: link });
  const size = item.kind === "regular" ? item.content : 0n;
  pax.push(...largeNumbers(metadata, size), ...xattrRecords(metadata, `${subject}: ${displayBytes(path)}`));
  const header = formatHeader({
    ...(fitting ?? { prefix: NONE, name: name.subarray(0, NAME_FIELD) }),
    linkName: link.subarray(0, NAME_FIELD),
    mode: metadata.mode,
    uid: BigInt(metadata.uid),
    gid: BigInt(metadata.gid),
    size,
    mtime: metadata.mtimeSec,
    type: TYPES[item.kind],
    device: item.kind === "char" || item.kind === "block" ? deviceNumbers(item.rdev) : null,
  });
  return pax.length === 0 ? header : concat([paxHeader(pax, `${subject}: ${displayBytes(path)}`), header]);
}

/** The zeros between a content of that many bytes and the next header. */
export function tarPadding(size: bigint | number): Uint8Array {
  return TAR_END.subarray(0, (BLOCK - Number(BigInt(size) % BigInt(BLOCK))) % BLOCK);
}

/** Directories end in a slash, as all container tools write them. */
function storedName(path: Uint8Array, isDirectory: boolean): Uint8Array {
  if (path.length === 0) return utf8("./");
  return isDirectory && path.at(-1) !== SLASH ? concat([path, Uint8Array.of(SLASH)]) : path;
}

/** Name and prefix for the fields of a ustar header; null when they don't fit. */
function splitName(path: Uint8Array): Pick<HeaderFields, "name" | "prefix"> | null {
  if (path.length <= NAME_FIELD) return { name: path, prefix: NONE };
  // The slash at the end of a directory's name does not part it.
  const slash = path.subarray(0, -1).indexOf(SLASH, Math.max(1, path.length - 1 - NAME_FIELD));
  if (slash < 0 || slash > PREFIX_FIELD) return null;
  return { name: path.subarray(slash + 1), prefix: path.subarray(0, slash) };
}

/**
 * Numbers that their header fields don't hold as octal digits are in both places: some readers know only one of them.
 */
function largeNumbers({ uid, gid, mtimeSec, mtimeNsec }: Metadata, size: bigint): PaxRecord[] {
  const records: PaxRecord[] = [];
  const add = (key: string, value: bigint | string) => {
    records.push({ key: utf8(key), value: utf8(String(value)) });
  };
  if (!fitsOctal(size, 12)) add("size", size);
  if (!fitsOctal(BigInt(uid), 8)) add("uid", BigInt(uid));
  if (!fitsOctal(BigInt(gid), 8)) add("gid", BigInt(gid));
  if (mtimeNsec !== 0 || !fitsOctal(mtimeSec, 12)) add("mtime", formatTime(mtimeSec, mtimeNsec));
  return records;
}

/** PAX times are decimal numbers: half a second before 1970 is -0.5. */
function formatTime(sec: bigint, nsec: number): string {
  if (nsec === 0) return String(sec);
  const fraction = (nanoseconds: number) => String(nanoseconds).padStart(9, "0").replace(/0+$/, "");
  return sec >= 0n ? `${sec}.${fraction(nsec)}` : `-${-sec - 1n}.${fraction(NANO - nsec)}`;
}

/** The attributes as star, GNU tar and all container tools write them: bytes as they are. */
function xattrRecords({ xattrs }: Metadata, subject: string): PaxRecord[] {
  return xattrs.map(({ name, value }) => {
    // A key ends at its first equals sign, and readers take keys as text.
    if (name.includes(0x3d) || !isUtf8(name)) {
      throw inputError(subject, `an archive can't store the xattr ${displayBytes(name)}; remove it`);
    }
    return { key: concat([utf8(XATTR_PREFIX), name]), value };
  });
}

function isUtf8(bytes: Uint8Array): boolean {
  return Buffer.from(Buffer.from(bytes).toString("utf8")).equals(bytes);
}

function paxHeader(records: readonly PaxRecord[], subject: string): Uint8Array {
  const data = paxRecords(records);
  if (data.length > METADATA_LIMIT) throw inputError(subject, "its xattrs are too large for an archive; remove some");
  const header = formatHeader({
    name: utf8("././@PaxHeader"),
    prefix: NONE,
    linkName: NONE,
    mode: 0o644,
    uid: 0n,
    gid: 0n,
    size: BigInt(data.length),
    mtime: 0n,
    type: "x",
    device: null,
  });
  return concat([header, data, tarPadding(data.length)]);
}

/** Undoes the kernel's `new_encode_dev`: 12 bits of major, 20 bits of minor. */
function deviceNumbers(rdev: number): { major: number; minor: number } {
  return { major: (rdev >>> 8) & 0xfff, minor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00) };
}
