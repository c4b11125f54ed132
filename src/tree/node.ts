/**
 * What a root filesystem is: directories, files, links and devices with their metadata, as composefs sees them.
 *
 * Names, link targets and xattrs are bytes. A hardlink is one node object in several places, so identity of
 * objects is identity of inodes; link counts are not stored but counted when they are needed. A tree is plain data: the
 * transforms build new nodes and never change one.
 */
import { compareBytes } from "../bytes.ts";

/** One extended attribute: full name (`security.selinux`) and value, as bytes. */
export interface Xattr {
  readonly name: Uint8Array;
  readonly value: Uint8Array;
}

/** What every inode carries. */
export interface Metadata {
  /** The 12 permission bits; the type is `kind`. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since the epoch, i64; before 1970 negative. */
  readonly mtimeSec: bigint;
  /** Nanoseconds, 0 to 999,999,999. */
  readonly mtimeNsec: number;
  /** Sorted by name bytes, each name once. Equal lists are shared between nodes. */
  readonly xattrs: readonly Xattr[];
}

/** Content of at most {@link INLINE_LIMIT} bytes is part of the metadata. */
export interface InlineContent {
  readonly kind: "inline";
  readonly bytes: Uint8Array;
}

/** Digests of many files, one after the other. */
export interface DigestSlab {
  readonly bytes: Uint8Array;
  /** Length of each digest in bytes. */
  readonly digestLength: number;
}

/** Content outside the image, known by its fs-verity digest. */
export interface ExternalContent {
  readonly kind: "external";
  /** Bytes, u64. */
  readonly size: bigint;
  /** fs-verity digest; null only in trees read from a dumpfile or image that has none. */
  readonly digest: Uint8Array | null;
  /**
   * Path of the object below the object store, without a leading slash. `"digest"`: the one that follows from the
   * digest, `xx/rest-of-hex`; null: none is known. Anything but `"digest"` comes from dumpfiles and images only.
   */
  readonly payload: "digest" | Uint8Array | null;
  /** Where the digest is if it lies among others, see `PooledContent`: then `digest` is made when it is asked for. */
  readonly slab?: DigestSlab;
  readonly digestAt?: number;
}

/** A name in a directory, with its node. */
export interface Entry {
  /** 1 to 255 bytes without `/` and NUL, neither `.` nor `..`. */
  readonly name: Uint8Array;
  readonly node: Node;
}

/** A directory with its entries. */
export interface Directory extends Metadata {
  readonly kind: "directory";
  /** Sorted by name bytes, each name once. */
  readonly entries: readonly Entry[];
}

/** A regular file: its content by digest, or in place. */
export interface RegularFile extends Metadata {
  readonly kind: "regular";
  readonly content: InlineContent | ExternalContent;
}

/** A symbolic link. */
export interface Symlink extends Metadata {
  readonly kind: "symlink";
  /** Not empty, without NUL. */
  readonly target: Uint8Array;
}

/** A device node. */
export interface Device extends Metadata {
  readonly kind: "char" | "block";
  /** Device number in the kernel's 32-bit encoding (`new_encode_dev`). */
  readonly rdev: number;
}

/** A FIFO or a socket. */
export interface Special extends Metadata {
  readonly kind: "fifo" | "socket";
}

/** A node that is not a directory. */
export type Leaf = RegularFile | Symlink | Device | Special;
/** A file, directory, link or device of a tree. */
export type Node = Directory | Leaf;
/** The kind of a node. */
export type NodeKind = Node["kind"];

/** Regular files up to this size are stored inline, not by digest (composefs). */
export const INLINE_LIMIT = 64;
/** Longest file name (Linux NAME_MAX). */
export const NAME_MAX = 255;
/**
 * Longest xattr name, with its prefix, and longest value (Linux XATTR_NAME_MAX; EROFS stores the
 * value's length in 16 bits).
 */
export const XATTR_NAME_MAX = 255;
/** The largest value of an xattr, in bytes. */
export const XATTR_VALUE_MAX = 65535;

/** The file type bits of `st_mode` for each kind. */
export const TYPE_BITS: Readonly<Record<NodeKind, number>> = {
  fifo: 0o010000,
  char: 0o020000,
  directory: 0o040000,
  block: 0o060000,
  regular: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
};

/** Permission and type bits of a node together, as in `st_mode`. */
export function fullMode(node: Node): number {
  return TYPE_BITS[node.kind] | node.mode;
}

/** Sorts entries into directory order (by name bytes) in place and returns them. */
export function sortEntries(entries: Entry[]): Entry[] {
  return entries.sort((a, b) => compareBytes(a.name, b.name));
}

/** Sorts xattrs by name bytes in place and returns them. */
export function sortXattrs(xattrs: Xattr[]): Xattr[] {
  return xattrs.sort((a, b) => compareBytes(a.name, b.name));
}

/** The node of that name in a directory, or undefined. Binary search. */
export function lookup(directory: Directory, name: Uint8Array): Node | undefined {
  let low = 0;
  let high = directory.entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const entry = directory.entries[middle] as Entry;
    const order = compareBytes(entry.name, name);
    if (order === 0) return entry.node;
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return undefined;
}

/** Size of the content of a regular file in bytes. */
export function contentSize(file: RegularFile): bigint {
  return file.content.kind === "inline" ? BigInt(file.content.bytes.length) : file.content.size;
}

/** Splits a path at `/`; empty components and `.` are dropped, so a leading or double slash makes no difference. */
export function splitPath(path: Uint8Array): Uint8Array[] {
  const components: Uint8Array[] = [];
  let start = 0;
  for (let end = 0; end <= path.length; end++) {
    if (end < path.length && path[end] !== 0x2f) continue;
    if (end > start && !(end - start === 1 && path[start] === 0x2e)) components.push(path.subarray(start, end));
    start = end + 1;
  }
  return components;
}
