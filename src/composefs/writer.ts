/** Second pass of writing an image: emits the bytes in order, at the places that `layout.ts` found. */
import { type Directory, fullMode, type Node, type RegularFile, TYPE_BITS } from "../tree/node.ts";
import { type DirectoryItem, directoryParts, writeDirectoryPart } from "./directory.ts";
import {
  ACL_PREFIXES,
  BLOCK_BITS,
  BLOCK_SIZE,
  COMPACT_INODE_SIZE,
  COMPOSEFS_HEADER_VERSION,
  COMPOSEFS_MAGIC,
  COMPOSEFS_VERSIONS,
  chunking,
  EROFS_MAGIC,
  EXTENDED_BIT,
  EXTENDED_INODE_SIZE,
  FEATURE_COMPAT,
  FLAG_HAS_ACL,
  INODES_OFFSET,
  LAYOUT,
  MAX_CHUNK_BITS,
  SLOT_SIZE,
  SUPERBLOCK_OFFSET,
  XATTR_BODY_MAX,
} from "./format.ts";
import type { ImageOptions } from "./inodes.ts";
import { aloneDigest, type Layout, layOut } from "./layout.ts";
import { bodySize, writeBody, writeXattr, type XattrList } from "./xattrs.ts";

/** A chunk is given away when it has this size or a little more. */
const CHUNK_SIZE = 1 << 20;
/** More than any structure takes that is written at once: padding, an inode, its xattrs, its tail. */
const PIECE_MAX = 2 * BLOCK_SIZE + EXTENDED_INODE_SIZE + XATTR_BODY_MAX;

/**
 * Writes a tree as an EROFS image.
 * @returns the image in chunks of bounded size, each with memory of its own
 * @throws SealError `input` naming the path for what the format can't store
 */
export function* writeImage(root: Directory, options: ImageOptions): Generator<Uint8Array> {
  const layout = layOut(root, options);
  const emitter = new Emitter(layout, options);
  emitter.header();
  for (let index = 0; index < layout.offsets.length; index++) {
    emitter.inode(index);
    if (emitter.isFull) yield emitter.take();
  }
  emitter.moveTo(layout.inodesEnd);
  for (const xattr of layout.xattrs.table.shared) {
    emitter.sharedXattr(xattr);
    if (emitter.isFull) yield emitter.take();
  }
  emitter.moveTo(layout.dataStart);
  for (let index = 0; index < layout.offsets.length; index++) {
    for (const _ of emitter.dataBlocks(index)) if (emitter.isFull) yield emitter.take();
  }
  if (!emitter.isEmpty) yield emitter.take();
}

class Emitter {
  readonly #layout: Layout;
  readonly #options: ImageOptions;
  /** Zeroed; what is not written stays zero. */
  #buffer: Buffer;
  /** Offset in the image of the buffer's first byte, and of the next byte to write. */
  #base = 0;
  #position = 0;
  #nextBlock: number;

  constructor(layout: Layout, options: ImageOptions) {
    this.#layout = layout;
    this.#options = options;
    this.#buffer = this.#newBuffer();
    this.#nextBlock = layout.dataStart / BLOCK_SIZE;
  }

  #newBuffer(): Buffer {
    return Buffer.alloc(Math.min(CHUNK_SIZE + PIECE_MAX, this.#layout.imageSize - this.#base));
  }

  /** Whether a chunk should be taken before more is written. */
  get isFull(): boolean {
    return this.#position - this.#base >= CHUNK_SIZE;
  }

  get isEmpty(): boolean {
    return this.#position === this.#base;
  }

  /** What was written since the last call. */
  take(): Uint8Array {
    const chunk = this.#buffer.subarray(0, this.#position - this.#base);
    this.#base = this.#position;
    this.#buffer = this.#newBuffer();
    return chunk;
  }

  moveTo(position: number): void {
    this.#position = position;
  }

  header(): void {
    const { xattrs, buildTime, inodesEnd, imageSize, offsets } = this.#layout;
    const { erofs } = this.#options;
    const buffer = this.#buffer;
    buffer.writeUInt32LE(COMPOSEFS_MAGIC, 0);
    buffer.writeUInt32LE(COMPOSEFS_HEADER_VERSION, 4);
    buffer.writeUInt32LE(erofs !== "v2" && this.#hasAcl(xattrs.lists) ? FLAG_HAS_ACL : 0, 8);
    buffer.writeUInt32LE(COMPOSEFS_VERSIONS[erofs], 12);
    const at = SUPERBLOCK_OFFSET;
    buffer.writeUInt32LE(EROFS_MAGIC, at);
    buffer.writeUInt32LE(FEATURE_COMPAT, at + 8);
    buffer[at + 12] = BLOCK_BITS;
    buffer.writeUInt16LE((offsets[0] as number) / SLOT_SIZE, at + 14);
    buffer.writeBigUInt64LE(BigInt(offsets.length), at + 16);
    buffer.writeBigInt64LE(buildTime.sec, at + 24);
    buffer.writeUInt32LE(buildTime.nsec, at + 32);
    buffer.writeUInt32LE(imageSize / BLOCK_SIZE, at + 36);
    buffer.writeUInt32LE(erofs === "v2" ? 0 : Math.floor(inodesEnd / BLOCK_SIZE), at + 44);
    this.moveTo(INODES_OFFSET);
  }

  /** composefs-rs goes by the stored prefix, which longer names have too; C by the whole name. */
  #hasAcl(lists: readonly XattrList[]): boolean {
    const isC = this.#options.dialect === "c";
    return [...new Set(lists)].some((list) =>
      list.entries.some(({ prefix, suffix }) => ACL_PREFIXES.includes(prefix) && !(isC && suffix.length > 0)),
    );
  }

  inode(index: number): void {
    const { inodes, xattrs, offsets, tails } = this.#layout;
    const node = inodes.nodes[index] as Node;
    const start = offsets[index] as number;
    this.moveTo(start);
    const digest = aloneDigest(xattrs, index, node);
    const list = xattrs.lists[index] as XattrList;
    const size = bodySize(list, digest);
    this.#inodeHeader(index, node, size === 0 ? 0 : 1 + (size - 12) / 4);
    const end = writeBody(this.#buffer, this.#position - this.#base, list, digest, {
      erofs: this.#options.erofs,
      sharedBase: this.#sharedBase(),
    });
    this.moveTo(this.#base + end);
    const tail = tails[index] as number;
    if (tail > 0) this.#tail(index, node, tail);
  }

  /** What an offset in the shared table is added to in a reference. */
  #sharedBase(): number {
    const { inodesEnd } = this.#layout;
    return this.#options.erofs === "v2" ? inodesEnd : inodesEnd % BLOCK_SIZE;
  }

  #inodeHeader(index: number, node: Node, xattrCount: number): void {
    const { offsets, linkCounts, compact } = this.#layout;
    const buffer = this.#buffer;
    const at = this.#position - this.#base;
    const isCompact = compact[index] === 1;
    const { format, size, union } = this.#describe(index, node);
    const ino = this.#options.erofs === "v2" ? (offsets[index] as number) / SLOT_SIZE : index;
    buffer.writeUInt16LE(isCompact ? format : format | EXTENDED_BIT, at);
    buffer.writeUInt16LE(xattrCount, at + 2);
    buffer.writeUInt16LE(this.#mode(node), at + 4);
    if (isCompact) {
      buffer.writeUInt16LE(linkCounts[index] as number, at + 6);
      buffer.writeUInt32LE(Number(size), at + 8);
      buffer.writeUInt16LE(node.uid, at + 24);
      buffer.writeUInt16LE(node.gid, at + 26);
    } else {
      buffer.writeBigUInt64LE(size, at + 8);
      buffer.writeUInt32LE(node.uid, at + 24);
      buffer.writeUInt32LE(node.gid, at + 28);
      buffer.writeBigInt64LE(node.mtimeSec, at + 32);
      buffer.writeUInt32LE(this.#options.erofs === "v2" ? 0 : node.mtimeNsec, at + 40);
      buffer.writeUInt32LE(linkCounts[index] as number, at + 44);
    }
    buffer.writeUInt32LE(union, at + 16);
    buffer.writeUInt32LE(ino, at + 20);
    this.moveTo(this.#position + (isCompact ? COMPACT_INODE_SIZE : EXTENDED_INODE_SIZE));
  }

  #mode(node: Node): number {
    return this.#layout.inodes.whiteouts.has(node) ? TYPE_BITS.regular | node.mode : fullMode(node);
  }

  /** Data layout, size, and the word whose meaning depends on the layout. */
  #describe(index: number, node: Node): { readonly format: number; readonly size: bigint; readonly union: number } {
    const tail = this.#layout.tails[index] as number;
    const blocks = this.#layout.blocks[index] as number;
    const blockAddress = blocks > 0 ? this.#nextBlock : 0;
    this.#nextBlock += blocks;
    const format = tail > 0 ? LAYOUT.inline : LAYOUT.plain;
    switch (node.kind) {
      case "directory":
        return { format, size: BigInt(blocks * BLOCK_SIZE + tail), union: blockAddress };
      case "symlink":
        return { format, size: BigInt(node.target.length), union: blockAddress };
      case "regular": {
        const { content } = node;
        if (content.kind === "inline") return { format, size: BigInt(content.bytes.length), union: blockAddress };
        const isEmptyInC = this.#options.dialect === "c" && content.size === 0n;
        if (isEmptyInC) return { format, size: 0n, union: 0 };
        const bits = this.#options.erofs === "v2" ? MAX_CHUNK_BITS : chunking(content.size).bits;
        // The chunk format is the lower half of the word; the upper one keeps that of the block address.
        return { format: LAYOUT.chunks, size: content.size, union: ((blockAddress & 0xffff0000) | bits) >>> 0 };
      }
      case "char":
      case "block":
        return { format, size: 0n, union: node.rdev };
      case "fifo":
      case "socket":
        return { format, size: 0n, union: 0 };
    }
  }

  #tail(index: number, node: Node, length: number): void {
    const at = this.#position - this.#base;
    if (node.kind === "directory") {
      const parts = directoryParts(this.#layout.inodes, index, this.#options.erofs);
      this.#directoryPart(parts[this.#layout.blocks[index] as number] ?? []);
    } else if (node.kind === "symlink") {
      this.#buffer.set(node.target, at);
    } else if (node.kind === "regular") {
      this.#fileTail(node, at, length);
    }
    this.moveTo(this.#base + at + length);
  }

  #fileTail(node: RegularFile, at: number, length: number): void {
    if (node.content.kind === "inline") this.#buffer.set(node.content.bytes.subarray(-length), at);
    else this.#buffer.fill(0xff, at, at + length);
  }

  /** The data blocks of an inode, one at a time. */
  *dataBlocks(index: number): Generator<void> {
    const count = this.#layout.blocks[index] as number;
    if (count === 0) return;
    const node = this.#layout.inodes.nodes[index] as Node;
    const parts = node.kind === "directory" ? directoryParts(this.#layout.inodes, index, this.#options.erofs) : [];
    for (let block = 0; block < count; block++) {
      const start = this.#position;
      const at = start - this.#base;
      if (node.kind === "directory") this.#directoryPart(parts[block] ?? []);
      else if (node.kind === "symlink") this.#buffer.set(node.target, at);
      else if (node.kind === "regular") this.#fileBlock(node, block, at);
      this.moveTo(start + BLOCK_SIZE);
      yield;
    }
  }

  #fileBlock(node: RegularFile, block: number, at: number): void {
    if (node.content.kind === "external") this.#buffer.fill(0xff, at, at + BLOCK_SIZE);
    else this.#buffer.set(node.content.bytes.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE), at);
  }

  #directoryPart(items: readonly DirectoryItem[]): void {
    writeDirectoryPart(this.#buffer, this.#position - this.#base, items, this.#layout);
  }

  sharedXattr(xattr: Parameters<typeof writeXattr>[2]): void {
    this.moveTo(this.#base + writeXattr(this.#buffer, this.#position - this.#base, xattr));
  }
}
