/**
 * The xattrs of an image: names in their stored form, one object for each distinct name and value, and which of them
 * are shared (EROFS on-disk format, "Extended attributes": an inode's xattr body is a header, references to shared
 * xattrs and the xattrs that only this inode has).
 */
import { alignUp, compareBytes } from "../bytes.ts";
import type { Xattr } from "../tree/node.ts";
import { type ErofsBuffer, filterBit, prefixBytes, prefixOf, startsWith, XATTR, XATTR_HEADER_SIZE } from "./format.ts";
import type { ErofsVersion } from "./series.ts";

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
  /** Set by {@link XattrTable.share}: bytes that it takes in an inode. */
  size: number;
  /** Bodies that were made of it, of inodes without overlay xattrs of their own and of those with them. */
  body: XattrBody | null;
  overlayBody: XattrBody | null;
}

/** The xattr body of the inodes that have the same list, but for what follows from the digest of each. */
export interface XattrBody {
  readonly bytes: Uint8Array;
  /** Where the digest goes, and its hex digits with a slash after the first two; -1: there are none. */
  readonly digestAt: number;
  /** Bytes of the digest; 0: there is none. */
  readonly digestSize: number;
  readonly pathAt: number;
}

/** mkcomposefs shares no more xattrs of one inode than this. */
const C_SHARED_MAX = 128;

export class XattrTable {
  readonly #erofs: ErofsVersion;
  readonly #sharedMax: number;
  readonly #stored = new Map<string, StoredXattr>();
  readonly #lists = new Map<readonly Xattr[], XattrList>();
  #lastXattrs: readonly Xattr[] | null = null;
  #lastList: XattrList | null = null;
  /** The shared table in the order in which it is written. */
  shared: readonly StoredXattr[] = [];

  constructor(erofs: ErofsVersion, dialect: "composefs-rs" | "c") {
    this.#erofs = erofs;
    this.#sharedMax = dialect === "c" ? C_SHARED_MAX : Number.POSITIVE_INFINITY;
  }

  /** The list for an inode's xattrs, which have their stored names already; counts as a use of each of them. */
  use(xattrs: readonly Xattr[]): XattrList {
    if (xattrs !== this.#lastXattrs || this.#lastList === null) {
      this.#lastList = this.#lists.get(xattrs) ?? this.#addList(xattrs);
      this.#lastXattrs = xattrs;
    }
    this.#lastList.uses++;
    return this.#lastList;
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
      list.size = 4 * references.length;
      for (const xattr of list.local) list.size += storedSize(xattr);
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
    const uses = { uses: 0, shared: [], local: entries, size: 0 };
    const list: XattrList = { entries, filter, ...uses, body: null, overlayBody: null };
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
 * Escapes names that overlayfs would take for its own: `trusted.overlay.x` is stored as `trusted.overlay.overlay.x`.
 */
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
