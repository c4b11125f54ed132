/** Reads the structures of an EROFS image (Linux fs/erofs/erofs_fs.h) from bytes that may be hostile. */
import type { Cursor } from "../bytes.ts";
import { concat } from "../chunks.ts";
import { inputError } from "../errors.ts";
import { type NodeKind, TYPE_BITS, type Xattr } from "../tree/node.ts";
import {
  BLOCK_BITS,
  BLOCK_SIZE,
  COMPACT_INODE_SIZE,
  COMPOSEFS_HEADER_VERSION,
  COMPOSEFS_MAGIC,
  COMPOSEFS_VERSIONS,
  EROFS_MAGIC,
  EXTENDED_BIT,
  EXTENDED_INODE_SIZE,
  FEATURE_COMPAT,
  LAYOUT,
  prefixBytes,
  SLOT_SIZE,
  SUPERBLOCK_OFFSET,
  XATTR_BODY_HEADER_SIZE,
  XATTR_HEADER_SIZE,
} from "./format.ts";
import type { ErofsVersion } from "./series.ts";

export interface RawInode {
  readonly kind: NodeKind;
  readonly layout: "plain" | "inline" | "chunks";
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSec: bigint;
  readonly mtimeNsec: number;
  readonly size: bigint;
  /** Block address or device number. */
  readonly union: number;
  /** With their stored names, in stored order. */
  readonly xattrs: readonly Xattr[];
  /** Offset after inode and xattrs, where the tail is. */
  readonly end: number;
}

/** A cursor over an image, and what all inodes need of it. */
export class ImageBytes {
  readonly cursor: Cursor;
  readonly erofs: ErofsVersion;
  readonly rootNid: number;
  readonly #buildTime: { readonly sec: bigint; readonly nsec: number };
  readonly #sharedStart: number;
  readonly #shared = new Map<number, Xattr>();
  /** Bytes that were read so far. In a sound image no two structures overlap, so these can't be more than it has. */
  #used = 0;

  constructor(cursor: Cursor) {
    this.cursor = cursor;
    const what = "the superblock";
    if (cursor.u32(0, "the composefs header") !== COMPOSEFS_MAGIC) this.fail("is not a composefs image");
    const headerVersion = cursor.u32(4, "the composefs header");
    const version = cursor.u32(12, "the composefs header");
    const erofs = (["v0", "v1", "v2"] as const).find((name) => COMPOSEFS_VERSIONS[name] === version);
    if (erofs === undefined || headerVersion !== COMPOSEFS_HEADER_VERSION) {
      this.fail(`has the unknown composefs version ${headerVersion}.${version}`);
    }
    const at = SUPERBLOCK_OFFSET;
    if (cursor.u32(at, what) !== EROFS_MAGIC) this.fail("has no EROFS superblock");
    if (cursor.u32(at + 8, what) !== FEATURE_COMPAT || cursor.u8(at + 12, what) !== BLOCK_BITS) {
      this.fail("uses EROFS features or block sizes that composefs images do not have");
    }
    if (cursor.u32(at + 36, what) * BLOCK_SIZE !== cursor.length) {
      this.fail(`has ${cursor.length} bytes, its superblock says ${cursor.u32(at + 36, what)} blocks of ${BLOCK_SIZE}`);
    }
    this.erofs = erofs;
    this.rootNid = cursor.u16(at + 14, what);
    this.#buildTime = { sec: BigInt.asIntN(64, cursor.u64(at + 24, what)), nsec: cursor.u32(at + 32, what) };
    this.#sharedStart = cursor.u32(at + 44, what) * BLOCK_SIZE;
  }

  fail(reason: string): never {
    throw inputError(this.cursor.subject, reason);
  }

  /** Counts bytes as read. */
  #use(length: number): void {
    this.#used += length;
    if (this.#used > this.cursor.length) this.fail("corrupt: its structures overlap");
  }

  inode(nid: number): RawInode {
    const { cursor } = this;
    const what = `inode ${nid}`;
    const at = nid * SLOT_SIZE;
    const format = cursor.u16(at, what);
    const layout = (["plain", "inline", "chunks"] as const).find((name) => LAYOUT[name] === (format & ~EXTENDED_BIT));
    if (layout === undefined) this.fail(`${what} has the unknown data layout ${format}`);
    const mode = cursor.u16(at + 4, what);
    const kind = (Object.keys(TYPE_BITS) as NodeKind[]).find((name) => TYPE_BITS[name] === (mode & 0o170000));
    if (kind === undefined) this.fail(`${what} has no file type`);
    const isExtended = (format & EXTENDED_BIT) !== 0;
    const headerSize = isExtended ? EXTENDED_INODE_SIZE : COMPACT_INODE_SIZE;
    const count = cursor.u16(at + 2, what);
    const bodySize = count === 0 ? 0 : XATTR_BODY_HEADER_SIZE + 4 * (count - 1);
    this.#use(headerSize + bodySize);
    const common = {
      kind,
      layout,
      mode: mode & 0o7777,
      union: cursor.u32(at + 16, what),
      xattrs: bodySize === 0 ? [] : this.#xattrs(at + headerSize, bodySize, what),
      end: at + headerSize + bodySize,
    };
    const inode = isExtended ? this.#extended(at, what) : this.#compact(at, what);
    if (inode.mtimeNsec > 999_999_999) this.fail(`${what} has more than a second of nanoseconds`);
    return { ...common, ...inode };
  }

  #compact(at: number, what: string) {
    const { cursor } = this;
    return {
      links: cursor.u16(at + 6, what),
      size: BigInt(cursor.u32(at + 8, what)),
      uid: cursor.u16(at + 24, what),
      gid: cursor.u16(at + 26, what),
      mtimeSec: this.#buildTime.sec,
      mtimeNsec: this.#buildTime.nsec,
    };
  }

  #extended(at: number, what: string) {
    const { cursor } = this;
    return {
      size: cursor.u64(at + 8, what),
      uid: cursor.u32(at + 24, what),
      gid: cursor.u32(at + 28, what),
      mtimeSec: BigInt.asIntN(64, cursor.u64(at + 32, what)),
      mtimeNsec: cursor.u32(at + 40, what),
      links: cursor.u32(at + 44, what),
    };
  }

  #xattrs(start: number, size: number, what: string): Xattr[] {
    const { cursor } = this;
    const end = start + size;
    const sharedCount = cursor.u8(start + 4, what);
    const xattrs: Xattr[] = [];
    let at = start + XATTR_BODY_HEADER_SIZE;
    for (let index = 0; index < sharedCount; index++, at += 4) {
      if (at + 4 > end) this.fail(`${what}: it has more xattr references than xattrs`);
      xattrs.push(this.#sharedXattr(this.#sharedStart + 4 * cursor.u32(at, what)));
    }
    while (at < end) {
      const { xattr, next } = this.#xattr(at, what);
      if (next > end) this.fail(`${what}: an xattr is longer than all of them together`);
      xattrs.push(xattr);
      at = next;
    }
    return xattrs;
  }

  #sharedXattr(at: number): Xattr {
    const known = this.#shared.get(at);
    if (known !== undefined) return known;
    const { xattr, next } = this.#xattr(at, "a shared xattr");
    this.#use(next - at);
    this.#shared.set(at, xattr);
    return xattr;
  }

  #xattr(at: number, what: string): { readonly xattr: Xattr; readonly next: number } {
    const { cursor } = this;
    const suffixLength = cursor.u8(at, what);
    const prefix = prefixBytes(cursor.u8(at + 1, what)) ?? this.fail(`${what}: an xattr with an unknown prefix`);
    const valueLength = cursor.u16(at + 2, what);
    const suffix = cursor.slice(at + XATTR_HEADER_SIZE, suffixLength, what);
    const value = cursor.slice(at + XATTR_HEADER_SIZE + suffixLength, valueLength, what).slice();
    const name = concat([prefix, suffix]);
    if (name.length === 0 || name.includes(0)) this.fail(`${what}: an xattr without a name, or with NUL in it`);
    const next = at + ((XATTR_HEADER_SIZE + suffixLength + valueLength + 3) & ~3);
    return { xattr: { name, value }, next };
  }

  /** The data of an inode that is stored in the image: blocks, then the tail. */
  data(inode: RawInode, what: string): { readonly blocks: Uint8Array; readonly tail: Uint8Array } {
    if (inode.layout === "chunks") this.fail(`${what} has its data outside the image, which its type does not allow`);
    if (inode.size > BigInt(this.cursor.length)) this.fail(`${what} has more data than the image`);
    const size = Number(inode.size);
    const tailLength = inode.layout === "inline" ? size % BLOCK_SIZE : 0;
    this.#use(size);
    const blocks = size - tailLength;
    return {
      blocks: blocks === 0 ? new Uint8Array() : this.cursor.slice(inode.union * BLOCK_SIZE, blocks, what),
      tail: this.cursor.slice(inode.end, tailLength, what),
    };
  }
}
