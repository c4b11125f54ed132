/**
 * The xattrs of an image: names in their stored form, one object for each distinct name and value, and which of them are
 * shared (EROFS on-disk format, "Extended attributes": an inode's xattr body is a header, references to shared xattrs
 * and the xattrs that only this inode has).
 */
import { alignUp, compareBytes, toHex } from "../bytes.ts";
import type { Xattr } from "../tree/node.ts";
import {
  filterBit,
  prefixBytes,
  prefixOf,
  startsWith,
  XATTR,
  XATTR_BODY_HEADER_SIZE,
  XATTR_HEADER_SIZE,
} from "./format.ts";
import type { ErofsVersion } from "./profile.ts";
import { VERITY_HASHES } from "./verity.ts";

/** An xattr with its stored name. Equal ones are one object. */
export interface StoredXattr {
  readonly prefix: number;
  /** The name without the prefix. */
  readonly suffix: Uint8Array;
  readonly name: Uint8Array;
  readonly value: Uint8Array;
  /** In how many places it stands. */
  uses: number;
  /** Offset of its shared copy from the start of the shared table; -1: every inode has its own. */
  sharedOffset: number;
}

/** The xattrs of an inode in stored order; inodes with the same ones have the same list. */
export interface XattrList {
  readonly entries: readonly StoredXattr[];
  /** Bits of the names, not inverted. */
  readonly filter: number;
  uses: number;
  /** Set by {@link XattrTable.share}: those that are references, in stored order, and the others. */
  shared: readonly StoredXattr[];
  local: readonly StoredXattr[];
}

/** mkcomposefs shares no more xattrs of one inode than this. */
const C_SHARED_MAX = 128;

export class XattrTable {
  readonly #erofs: ErofsVersion;
  readonly #sharedMax: number;
  readonly #stored = new Map<string, StoredXattr>();
  readonly #lists = new Map<readonly Xattr[], XattrList>();
  /** The shared table in the order in which it is written. */
  shared: readonly StoredXattr[] = [];

  constructor(erofs: ErofsVersion, dialect: "composefs-rs" | "c") {
    this.#erofs = erofs;
    this.#sharedMax = dialect === "c" ? C_SHARED_MAX : Number.POSITIVE_INFINITY;
  }

  /** The list for an inode's xattrs, which have their stored names already; counts as a use of each of them. */
  use(xattrs: readonly Xattr[]): XattrList {
    const list = this.#lists.get(xattrs) ?? this.#addList(xattrs);
    list.uses++;
    return list;
  }

  /** An xattr by its stored name and value, without counting it. */
  store(name: Uint8Array, value: Uint8Array): StoredXattr {
    const key = `${name.length} ${latin1(name)}${latin1(value)}`;
    const known = this.#stored.get(key);
    if (known !== undefined) return known;
    const prefix = prefixOf(name, this.#erofs);
    const suffix = name.subarray(prefixBytes(prefix)?.length);
    const xattr = { prefix, suffix, name, value, uses: 0, sharedOffset: -1 };
    this.#stored.set(key, xattr);
    return xattr;
  }

  /** Decides what is shared, once all uses are known. */
  share(): void {
    for (const list of this.#lists.values()) {
      for (const xattr of list.entries) xattr.uses += list.uses;
    }
    const shared = [...this.#stored.values()].filter((xattr) => xattr.uses > 1);
    shared.sort(this.#erofs === "v2" ? compareByPrefix : (a, b) => compareByName(b, a));
    let offset = 0;
    for (const xattr of shared) {
      xattr.sharedOffset = offset;
      offset += storedSize(xattr);
    }
    this.shared = shared;
    for (const list of this.#lists.values()) {
      const references = list.entries.filter((xattr) => xattr.sharedOffset >= 0).slice(0, this.#sharedMax);
      const kept = new Set(references);
      list.shared = references;
      list.local =
        references.length === list.entries.length ? [] : this.#withoutFirst(list.entries, kept, references.length);
    }
  }

  #withoutFirst(entries: readonly StoredXattr[], shared: ReadonlySet<StoredXattr>, count: number): StoredXattr[] {
    let left = count;
    return entries.filter((xattr) => !(shared.has(xattr) && left-- > 0));
  }

  #addList(xattrs: readonly Xattr[]): XattrList {
    const entries = xattrs.map((xattr) => this.store(xattr.name, xattr.value));
    if (this.#erofs !== "v2") entries.sort(compareByName);
    let filter = 0;
    for (const xattr of entries) filter |= 1 << filterBit(xattr.prefix, xattr.suffix);
    const list = { entries, filter, uses: 0, shared: [], local: entries };
    this.#lists.set(xattrs, list);
    return list;
  }
}

/** Order of V0 and V1: full name, then the shorter value, then the value's bytes. */
function compareByName(a: StoredXattr, b: StoredXattr): number {
  return compareBytes(a.name, b.name) || a.value.length - b.value.length || compareBytes(a.value, b.value);
}

/** Order of V2: number of the prefix, rest of the name, value. */
function compareByPrefix(a: StoredXattr, b: StoredXattr): number {
  return a.prefix - b.prefix || compareBytes(a.suffix, b.suffix) || compareBytes(a.value, b.value);
}

/** Bytes that an xattr takes, in the shared table or in an inode. */
export function storedSize(xattr: { readonly suffix: Uint8Array; readonly value: Uint8Array }): number {
  return alignUp(XATTR_HEADER_SIZE + xattr.suffix.length + xattr.value.length, 4);
}

/** Writes an xattr into zeroed bytes; returns the offset after it. */
export function writeXattr(target: Buffer, offset: number, xattr: StoredXattr): number {
  target[offset] = xattr.suffix.length;
  target[offset + 1] = xattr.prefix;
  target.writeUInt16LE(xattr.value.length, offset + 2);
  target.set(xattr.suffix, offset + XATTR_HEADER_SIZE);
  target.set(xattr.value, offset + XATTR_HEADER_SIZE + xattr.suffix.length);
  return offset + storedSize(xattr);
}

/**
 * Size of an inode's xattr body; 0 without any.
 * @param digest of a file outside of the image whose overlay xattrs are not in the list, because no other file has the same
 */
export function bodySize(list: XattrList, digest: Uint8Array | null): number {
  if (list.entries.length === 0 && digest === null) return 0;
  let size = XATTR_BODY_HEADER_SIZE + 4 * list.shared.length;
  for (const xattr of list.local) size += storedSize(xattr);
  return digest === null ? size : size + overlaySize(digest.length);
}

function overlaySize(digestLength: number): number {
  const metacopy = XATTR_HEADER_SIZE + METACOPY_SUFFIX.length + METACOPY_HEADER_SIZE + digestLength;
  // A slash, the hex digits and the slash among them.
  const redirect = XATTR_HEADER_SIZE + REDIRECT_SUFFIX.length + 2 + 2 * digestLength;
  return alignUp(metacopy, 4) + alignUp(redirect, 4);
}

/** Writes an inode's xattr body into zeroed bytes; returns the offset after it. */
export function writeBody(
  target: Buffer,
  start: number,
  list: XattrList,
  digest: Uint8Array | null,
  { erofs, sharedBase }: { readonly erofs: ErofsVersion; readonly sharedBase: number },
): number {
  if (list.entries.length === 0 && digest === null) return start;
  target.writeUInt32LE(~(digest === null ? list.filter : list.filter | overlayFilter) >>> 0, start);
  target[start + 4] = list.shared.length;
  let offset = start + XATTR_BODY_HEADER_SIZE;
  for (const xattr of list.shared) {
    target.writeUInt32LE((sharedBase + xattr.sharedOffset) / 4, offset);
    offset += 4;
  }
  let next = 0;
  /** V0 and V1 sort by name, V2 has the overlay xattrs first. */
  const writeLocalsBefore = (name: Uint8Array) => {
    for (; erofs !== "v2" && next < list.local.length; next++) {
      const xattr = list.local[next] as StoredXattr;
      if (compareBytes(xattr.name, name) >= 0) return;
      offset = writeXattr(target, offset, xattr);
    }
  };
  if (digest !== null) {
    writeLocalsBefore(XATTR.metacopy);
    offset = writeMetacopy(target, offset, digest);
    writeLocalsBefore(XATTR.redirect);
    offset = writeRedirect(target, offset, digest);
  }
  for (; next < list.local.length; next++) offset = writeXattr(target, offset, list.local[next] as StoredXattr);
  return offset;
}

const SLASH = 0x2f;
const TRUSTED_PREFIX = 4;
const METACOPY_HEADER_SIZE = 4;
const METACOPY_SUFFIX = XATTR.metacopy.subarray("trusted.".length);
const REDIRECT_SUFFIX = XATTR.redirect.subarray("trusted.".length);
const overlayFilter =
  (1 << filterBit(TRUSTED_PREFIX, METACOPY_SUFFIX)) | (1 << filterBit(TRUSTED_PREFIX, REDIRECT_SUFFIX));

/** As {@link writeXattr} would, but without a value of its own for each file. */
function writeMetacopy(target: Buffer, offset: number, digest: Uint8Array): number {
  const value = writeHeader(target, offset, METACOPY_SUFFIX, METACOPY_HEADER_SIZE + digest.length);
  fillMetacopy(target, value, digest);
  return offset + alignUp(value - offset + METACOPY_HEADER_SIZE + digest.length, 4);
}

function writeRedirect(target: Buffer, offset: number, digest: Uint8Array): number {
  const length = 2 + 2 * digest.length;
  const value = writeHeader(target, offset, REDIRECT_SUFFIX, length);
  // `/xx/…`: all digits where the last ones belong, then the first two and the slashes over the gap.
  target.write(toHex(digest), value + 2, "latin1");
  target[value + 1] = target[value + 2] as number;
  target[value + 2] = target[value + 3] as number;
  target[value] = SLASH;
  target[value + 3] = SLASH;
  return offset + alignUp(value - offset + length, 4);
}

/** Returns the offset of the value. */
function writeHeader(target: Buffer, offset: number, suffix: Uint8Array, valueLength: number): number {
  target[offset] = suffix.length;
  target[offset + 1] = TRUSTED_PREFIX;
  target.writeUInt16LE(valueLength, offset + 2);
  target.set(suffix, offset + XATTR_HEADER_SIZE);
  return offset + XATTR_HEADER_SIZE + suffix.length;
}

/** `struct ovl_metacopy` of the Linux overlay filesystem: version, length, flags, fs-verity algorithm, digest. */
export function metacopyValue(digest: Uint8Array): Uint8Array {
  const value = new Uint8Array(METACOPY_HEADER_SIZE + digest.length);
  fillMetacopy(value, 0, digest);
  return value;
}

function fillMetacopy(target: Uint8Array, at: number, digest: Uint8Array): void {
  const algorithm = digest.length === VERITY_HASHES.sha512.length ? VERITY_HASHES.sha512 : VERITY_HASHES.sha256;
  target[at + 1] = METACOPY_HEADER_SIZE + digest.length;
  target[at + 3] = algorithm.id;
  target.set(digest, at + METACOPY_HEADER_SIZE);
}

/** Absolute path of the object with that digest in the object store. */
export function redirectValue(digest: Uint8Array): Uint8Array {
  const hex = toHex(digest);
  return Buffer.from(`/${hex.slice(0, 2)}/${hex.slice(2)}`, "latin1");
}

/** Escapes names that overlayfs would take for its own: `trusted.overlay.x` is stored as `trusted.overlay.overlay.x`. */
export function storedNames(xattrs: readonly Xattr[]): readonly Xattr[] {
  if (!xattrs.some((xattr) => startsWith(xattr.name, XATTR.overlayPrefix))) return xattrs;
  return xattrs.map((xattr) =>
    startsWith(xattr.name, XATTR.overlayPrefix)
      ? {
          name: Buffer.concat([XATTR.escapedPrefix, xattr.name.subarray(XATTR.overlayPrefix.length)]),
          value: xattr.value,
        }
      : xattr,
  );
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
