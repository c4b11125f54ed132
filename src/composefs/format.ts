/**
 * Numbers and structures of the EROFS images that composefs uses (Linux fs/erofs/erofs_fs.h, "EROFS on-disk format";
 * composefs libcomposefs/lcfs-erofs.h). All integers are little endian; blocks have 4096 bytes.
 *
 * Three versions are in use. V0 and V1 come from C mkcomposefs and differ in a number and in how whiteouts are marked;
 * V2 is the first format of composefs-rs, in other order and without overlayfs whiteouts.
 */
import { utf8 } from "../bytes.ts";
import { xxh32 } from "../xxh32.ts";
import type { ErofsVersion } from "./series.ts";

export const BLOCK_SIZE = 4096;
/** Inodes start on multiples of this; an inode's number (nid) is its offset in these units. */
export const SLOT_SIZE = 32;

export const COMPOSEFS_MAGIC = 0xd078629a;
export const COMPOSEFS_HEADER_VERSION = 1;
export const COMPOSEFS_VERSIONS: Readonly<Record<ErofsVersion, number>> = { v0: 0, v1: 1, v2: 2 };
/** Header flag: some inode has a POSIX ACL. */
export const FLAG_HAS_ACL = 1;

export const SUPERBLOCK_OFFSET = 1024;
const SUPERBLOCK_SIZE = 128;
export const EROFS_MAGIC = 0xe0f5e1e2;
export const BLOCK_BITS = 12;
/** Compatible features: the mtime field is one, and the xattr filter. */
export const FEATURE_COMPAT = 0x02 | 0x04;
export const INODES_OFFSET = SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE;

export const COMPACT_INODE_SIZE = 32;
export const EXTENDED_INODE_SIZE = 64;
/** Values of the format word's data layout bits, shifted into place. */
export const LAYOUT = { plain: 0, inline: 2 << 1, chunks: 4 << 1 } as const;
export const EXTENDED_BIT = 1;

export const DIRENT_SIZE = 12;
/** A directory or file tail longer than this gets its own block. */
export const MAX_TAIL = BLOCK_SIZE / 2;
export const DIRENT_TYPES = { regular: 1, directory: 2, char: 3, block: 4, fifo: 5, socket: 6, symlink: 7 } as const;

/** Largest exponent of a chunk's size over that of a block. */
export const MAX_CHUNK_BITS = 31;

export const XATTR_BODY_HEADER_SIZE = 12;
export const XATTR_HEADER_SIZE = 4;
const XATTR_FILTER_SEED = 0x25bbe08f;
/** The inode's count of xattr words has 16 bits. */
export const XATTR_BODY_MAX = XATTR_BODY_HEADER_SIZE + 4 * 0xfffe;
export const SHARED_XATTR_MAX = 255;

/** Name prefixes that are stored as a number: their place in this list. Where several fit, the later one counts. */
const PREFIXES = [
  "",
  "user.",
  "system.posix_acl_access",
  "system.posix_acl_default",
  "trusted.",
  "lustre.",
  "security.",
];
const PREFIX_BYTES = PREFIXES.map(utf8);
/** Only V2 knows this prefix. */
const LUSTRE = 5;
export const ACL_PREFIXES: readonly number[] = [2, 3];

/** The prefix number of a full xattr name. */
export function prefixOf(name: Uint8Array, erofs: ErofsVersion): number {
  for (let index = PREFIX_BYTES.length - 1; index > 0; index--) {
    if (index === LUSTRE && erofs !== "v2") continue;
    if (startsWith(name, PREFIX_BYTES[index] as Uint8Array)) return index;
  }
  return 0;
}

/** The bytes that a prefix number denotes; null if there is no such number. */
export function prefixBytes(index: number): Uint8Array | null {
  return PREFIX_BYTES[index] ?? null;
}

/** The bit of the name filter that belongs to a name: 0 to 31. */
export function filterBit(prefix: number, suffix: Uint8Array): number {
  return xxh32(suffix, (XATTR_FILTER_SEED + prefix) >>> 0) & 31;
}

export function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  if (bytes.length < start.length) return false;
  for (let index = 0; index < start.length; index++) if (bytes[index] !== start[index]) return false;
  return true;
}

const LARGE = 2 ** 32;

function bitLength(value: bigint): number {
  const high = Number(value >> 32n);
  return high === 0 ? 32 - Math.clz32(Number(value)) : 64 - Math.clz32(high);
}

/** How a file outside of the image is divided into chunks. */
interface Chunking {
  /** Exponent of a chunk's size over that of a block. */
  readonly bits: number;
  readonly count: number;
}
const NO_CHUNK: Chunking = { bits: 0, count: 0 };
/** One chunk of each size. */
const ONE_CHUNK: readonly Chunking[] = Array.from({ length: 32 - BLOCK_BITS + 1 }, (_, bits) => ({ bits, count: 1 }));

/** How V0 and V1 divide a file outside of the image into chunks: the fewest, but not larger than needed. */
export function chunking(size: bigint): Chunking {
  // Nearly every file: one chunk holds it, and plain numbers are fast. They are exact up to 2^53.
  const rounded = Number(size);
  if (rounded === 0) return NO_CHUNK;
  if (rounded <= LARGE) {
    const bits = rounded <= BLOCK_SIZE ? 0 : 32 - Math.clz32(rounded - 1) - BLOCK_BITS;
    return ONE_CHUNK[bits] as Chunking;
  }
  const needed = bitLength(size - 1n);
  const bits = Math.min(Math.max(needed, BLOCK_BITS), BLOCK_BITS + MAX_CHUNK_BITS);
  const chunk = 1n << BigInt(bits);
  return { bits: bits - BLOCK_BITS, count: Number((size + chunk - 1n) / chunk) };
}

/** Names that composefs adds or escapes, see overlayfs.rst in the Linux documentation. */
export const XATTR = {
  metacopy: utf8("trusted.overlay.metacopy"),
  redirect: utf8("trusted.overlay.redirect"),
  opaque: utf8("trusted.overlay.opaque"),
  overlayPrefix: utf8("trusted.overlay."),
  escapedPrefix: utf8("trusted.overlay.overlay."),
  selinux: utf8("security.selinux"),
} as const;

/** What marks a whiteout that is content of the image, and its directory. */
export const WHITEOUT_MARKS = {
  file: ["trusted.overlay.overlay.whiteout", "user.overlay.whiteout"].map(utf8),
  directory: ["trusted.overlay.overlay.whiteouts", "user.overlay.whiteouts"].map(utf8),
  /** From V1 on, with the value `x`. */
  opaqueDirectory: ["trusted.overlay.overlay.opaque", "user.overlay.opaque"].map(utf8),
} as const;

/** Zeroed bytes of an image that is being written, as bytes and as numbers. */
export interface ErofsBuffer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** Zeros. Plain typed arrays: Buffer's own methods cost more than what they write here. */
export function newErofsBuffer(size: number): ErofsBuffer {
  const bytes = new Uint8Array(size);
  return { bytes, view: new DataView(bytes.buffer) };
}
