/**
 * The xattrs of an image: names in their stored form, one object for each distinct name and value, and which of them are
 * shared (EROFS on-disk format, "Extended attributes": an inode's xattr body is a header, references to shared xattrs
 * and the xattrs that only this inode has).
 */
import { alignUp, compareBytes, toHex } from "../bytes.ts";
import type { Xattr } from "../tree/node.ts";
import {
  type ErofsBuffer,
  filterBit,
  prefixBytes,
  prefixOf,
  startsWith,
  XATTR,
  XATTR_BODY_HEADER_SIZE,
  XATTR_HEADER_SIZE,
} from "./format.ts";
import type { ErofsVersion } from "./series.ts";
import { VERITY_HASHES } from "./verity.ts";

/** An xattr with its stored name. Equal ones are one object. */
export interface StoredXattr {
  readonly prefix: number;
  /** The name without the prefix. */
  readonly suffix: Uint8Array;
  readonly name: Uint8Array;
  readonly value: Uint8Array;
  /** In how many places it occurs. */
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
export function writeXattr({ bytes, view }: ErofsBuffer, offset: number, xattr: StoredXattr): number {
  bytes[offset] = xattr.suffix.length;
  bytes[offset + 1] = xattr.prefix;
  view.setUint16(offset + 2, xattr.value.length, true);
  bytes.set(xattr.suffix, offset + XATTR_HEADER_SIZE);
  bytes.set(xattr.value, offset + XATTR_HEADER_SIZE + xattr.suffix.length);
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
  const { metacopy, redirect } = overlayStart(digestLength);
  return alignUp(metacopy.length + digestLength, 4) + alignUp(redirect.length + redirectSize(digestLength), 4);
}

/** Writes an inode's xattr body into zeroed bytes; returns the offset after it. */
export function writeBody(
  target: ErofsBuffer,
  start: number,
  list: XattrList,
  digest: Uint8Array | null,
  { erofs, sharedBase }: { readonly erofs: ErofsVersion; readonly sharedBase: number },
): number {
  const { shared, local } = list;
  if (list.entries.length === 0 && digest === null) return start;
  target.view.setUint32(start, ~(digest === null ? list.filter : list.filter | overlayFilter), true);
  target.bytes[start + 4] = shared.length;
  let offset = start + XATTR_BODY_HEADER_SIZE;
  for (const xattr of shared) {
    target.view.setUint32(offset, (sharedBase + xattr.sharedOffset) / 4, true);
    offset += 4;
  }
  if (digest === null) return writeXattrs(target, offset, local, 0, local.length);
  // V0 and V1 sort by name, V2 has the overlay xattrs first.
  const first = erofs === "v2" ? 0 : countBefore(local, XATTR.metacopy);
  const second = erofs === "v2" ? 0 : countBefore(local, XATTR.redirect);
  offset = writeXattrs(target, offset, local, 0, first);
  offset = writeMetacopy(target, offset, digest);
  offset = writeXattrs(target, offset, local, first, second);
  offset = writeRedirect(target, offset, digest);
  return writeXattrs(target, offset, local, second, local.length);
}

/** How many of sorted xattrs come before a name. */
function countBefore(xattrs: readonly StoredXattr[], name: Uint8Array): number {
  let count = 0;
  for (const xattr of xattrs) {
    if (compareBytes(xattr.name, name) >= 0) break;
    count++;
  }
  return count;
}

/** Writes a part of a list; returns the offset after it. */
function writeXattrs(
  target: ErofsBuffer,
  start: number,
  xattrs: readonly StoredXattr[],
  from: number,
  to: number,
): number {
  let offset = start;
  for (let index = from; index < to; index++) offset = writeXattr(target, offset, xattrs[index] as StoredXattr);
  return offset;
}

const SLASH = 0x2f;
const TRUSTED_PREFIX = 4;
const METACOPY_HEADER_SIZE = 4;
const METACOPY_SUFFIX = XATTR.metacopy.subarray("trusted.".length);
const REDIRECT_SUFFIX = XATTR.redirect.subarray("trusted.".length);
const overlayFilter =
  (1 << filterBit(TRUSTED_PREFIX, METACOPY_SUFFIX)) | (1 << filterBit(TRUSTED_PREFIX, REDIRECT_SUFFIX));
const HEX_DIGITS = Buffer.from("0123456789abcdef", "latin1");

/** What the overlay xattrs of all files begin with, before what follows from the digest. */
interface OverlayStart {
  readonly metacopy: Uint8Array;
  readonly redirect: Uint8Array;
}

const OVERLAY_STARTS = {
  sha256: makeOverlayStart(VERITY_HASHES.sha256),
  sha512: makeOverlayStart(VERITY_HASHES.sha512),
};

function overlayStart(digestLength: number): OverlayStart {
  return digestLength === VERITY_HASHES.sha512.length ? OVERLAY_STARTS.sha512 : OVERLAY_STARTS.sha256;
}

function makeOverlayStart({ id, length }: { readonly id: number; readonly length: number }): OverlayStart {
  const size = METACOPY_HEADER_SIZE + length;
  return {
    metacopy: Buffer.concat([xattrHeader(METACOPY_SUFFIX, size), Uint8Array.of(0, size, 0, id)]),
    redirect: xattrHeader(REDIRECT_SUFFIX, redirectSize(length)),
  };
}

function xattrHeader(suffix: Uint8Array, valueLength: number): Uint8Array {
  return Buffer.concat([Uint8Array.of(suffix.length, TRUSTED_PREFIX, valueLength & 0xff, valueLength >> 8), suffix]);
}

/** A slash, the hex digits and the slash among them. */
function redirectSize(digestLength: number): number {
  return 2 + 2 * digestLength;
}

/** As {@link writeXattr} would, but without a separate value for each file. */
function writeMetacopy({ bytes }: ErofsBuffer, offset: number, digest: Uint8Array): number {
  const { metacopy } = overlayStart(digest.length);
  bytes.set(metacopy, offset);
  bytes.set(digest, offset + metacopy.length);
  return offset + alignUp(metacopy.length + digest.length, 4);
}

function writeRedirect({ bytes }: ErofsBuffer, offset: number, digest: Uint8Array): number {
  const { redirect } = overlayStart(digest.length);
  bytes.set(redirect, offset);
  let at = offset + redirect.length;
  bytes[at++] = SLASH;
  for (let index = 0; index < digest.length; index++) {
    const byte = digest[index] as number;
    bytes[at++] = HEX_DIGITS[byte >> 4] as number;
    bytes[at++] = HEX_DIGITS[byte & 15] as number;
    if (index === 0) bytes[at++] = SLASH;
  }
  return offset + alignUp(at - offset, 4);
}

/** `struct ovl_metacopy` of the Linux overlay filesystem: version, length, flags, fs-verity algorithm, digest. */
export function metacopyValue(digest: Uint8Array): Uint8Array {
  const { metacopy } = overlayStart(digest.length);
  return Buffer.concat([metacopy.subarray(-METACOPY_HEADER_SIZE), digest]);
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
