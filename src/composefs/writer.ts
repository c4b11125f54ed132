/** Second pass of writing an image: emits the bytes in order, at the places that `layout.ts` found. */
import type { Directory, Node, RegularFile } from "../tree/node.ts";
import { DirectoryItems } from "./directory.ts";
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
  type ErofsBuffer,
  EXTENDED_BIT,
  EXTENDED_INODE_SIZE,
  FEATURE_COMPAT,
  FLAG_HAS_ACL,
  INODES_OFFSET,
  LAYOUT,
  MAX_CHUNK_BITS,
  newErofsBuffer,
  SLOT_SIZE,
  SUPERBLOCK_OFFSET,
  XATTR_BODY_HEADER_SIZE,
  XATTR_BODY_MAX,
} from "./format.ts";
import type { ErofsOptions } from "./inodes.ts";
import { type ErofsLayout, type ImagePlan, layOut, planImage } from "./layout.ts";
import { externalContent, MODE_BITS } from "./measure.ts";
import { makeBody, writeBody } from "./xattr-body.ts";
import { writeXattr, type XattrBody, type XattrList } from "./xattrs.ts";

/** A chunk is given away when it has this size or a little more. */
const CHUNK_SIZE = 1 << 20;
/** More than any structure takes that is written at once: padding, an inode, its xattrs, its tail. */
const PIECE_MAX = 2 * BLOCK_SIZE + EXTENDED_INODE_SIZE + XATTR_BODY_MAX;

/** Smaller sizes are exact as numbers. */
const EXACT_BELOW = 2n ** 53n;

/**
 * Writes a tree as an EROFS image.
 * @returns the image in chunks of bounded size, each in its own memory
 * @throws SealError `input` naming the path for what the format can't store
 */
export function writeErofs(root: Directory, options: ErofsOptions): Generator<Uint8Array> {
  return emitErofs(planImage(root, options), options, false);
}

/**
 * {@link writeErofs} of a planned image, each chunk in the same memory: it is valid until the next one is asked for.
 * @param options those that it was planned with
 */
export function passErofs(plan: ImagePlan, options: ErofsOptions): Generator<Uint8Array> {
  return emitErofs(plan, options, true);
}

/** @param reuses whether all chunks are in the same memory */
function* emitErofs(plan: ImagePlan, options: ErofsOptions, reuses: boolean): Generator<Uint8Array> {
  const layout = layOut(plan, options);
  const emitter = new Emitter(layout, options, reuses);
  emitter.header();
  for (let next = 0; next < layout.offsets.length; ) {
    next = emitter.inodes(next);
    if (emitter.isFull) yield* emitter.give();
  }
  emitter.moveTo(layout.inodesEnd);
  for (const xattr of layout.xattrs.table.shared) {
    emitter.sharedXattr(xattr);
    if (emitter.isFull) yield* emitter.give();
  }
  emitter.moveTo(layout.dataStart);
  for (let index = 0; index < layout.offsets.length; index++) {
    if (layout.blocks[index] === 0) continue;
    for (const _ of emitter.dataBlocks(index)) if (emitter.isFull) yield* emitter.give();
  }
  if (!emitter.isEmpty) yield* emitter.give();
}

class Emitter {
  readonly #layout: ErofsLayout;
  readonly #options: ErofsOptions;
  /** What is not written stays zero. */
  #target: ErofsBuffer;
  /** Offset in the image of the buffer's first byte, and of the next byte to write. */
  #base = 0;
  #position = 0;
  #nextBlock: number;
  /** The entries of one directory, and the number of its inode. */
  readonly #items = new DirectoryItems();
  #listed = -1;

  readonly #reuses: boolean;

  constructor(layout: ErofsLayout, options: ErofsOptions, reuses: boolean) {
    this.#layout = layout;
    this.#options = options;
    this.#reuses = reuses;
    this.#target = this.#newTarget();
    this.#nextBlock = layout.dataStart / BLOCK_SIZE;
  }

  #newTarget(): ErofsBuffer {
    return newErofsBuffer(Math.min(CHUNK_SIZE + PIECE_MAX, this.#layout.imageSize - this.#base));
  }

  /** Whether a chunk should be given away before more is written. */
  get isFull(): boolean {
    return this.#position - this.#base >= CHUNK_SIZE;
  }

  get isEmpty(): boolean {
    return this.#position === this.#base;
  }

  /** Gives away what was written since the last call. */
  *give(): Generator<Uint8Array> {
    const chunk = this.#target.bytes.subarray(0, this.#position - this.#base);
    yield chunk;
    this.#base = this.#position;
    if (this.#reuses) chunk.fill(0);
    else this.#target = this.#newTarget();
  }

  moveTo(position: number): void {
    this.#position = position;
  }

  header(): void {
    const { xattrs, buildTime, inodesEnd, imageSize, offsets } = this.#layout;
    const { erofs } = this.#options;
    const { bytes, view } = this.#target;
    view.setUint32(0, COMPOSEFS_MAGIC, true);
    view.setUint32(4, COMPOSEFS_HEADER_VERSION, true);
    view.setUint32(8, erofs !== "v2" && this.#hasAcl(xattrs.lists) ? FLAG_HAS_ACL : 0, true);
    view.setUint32(12, COMPOSEFS_VERSIONS[erofs], true);
    const at = SUPERBLOCK_OFFSET;
    view.setUint32(at, EROFS_MAGIC, true);
    view.setUint32(at + 8, FEATURE_COMPAT, true);
    bytes[at + 12] = BLOCK_BITS;
    view.setUint16(at + 14, (offsets[0] as number) / SLOT_SIZE, true);
    view.setBigUint64(at + 16, BigInt(offsets.length), true);
    view.setBigInt64(at + 24, buildTime.sec, true);
    view.setUint32(at + 32, buildTime.nsec, true);
    view.setUint32(at + 36, imageSize / BLOCK_SIZE, true);
    view.setUint32(at + 44, erofs === "v2" ? 0 : Math.floor(inodesEnd / BLOCK_SIZE), true);
    this.moveTo(INODES_OFFSET);
  }

  /** composefs-rs compares the stored prefix, which longer names have too; C the whole name. */
  #hasAcl(lists: readonly XattrList[]): boolean {
    const isC = this.#options.dialect === "c";
    return [...new Set(lists)].some((list) =>
      list.entries.some(({ prefix, suffix }) => ACL_PREFIXES.includes(prefix) && !(isC && suffix.length > 0)),
    );
  }

  /** Writes inodes from an index on, until a chunk is full or there are no more. @returns the index of the next one */
  inodes(from: number): number {
    const { offsets } = this.#layout;
    for (let index = from; index < offsets.length; index++) {
      if (this.isFull) return index;
      this.#inode(index);
    }
    return offsets.length;
  }

  #inode(index: number): void {
    const { inodes, xattrs, offsets, tails, compact } = this.#layout;
    const node = inodes.nodes[index] as Node;
    const isAlone = xattrs.alone[index] === 1;
    const body = this.#body(xattrs.lists[index] as XattrList, isAlone);
    const start = offsets[index] as number;
    const at = start - this.#base;
    this.#header(index, node, at, body.bytes.length);
    let end = at + (compact[index] === 1 ? COMPACT_INODE_SIZE : EXTENDED_INODE_SIZE);
    if (body.bytes.length > 0) writeBody(this.#target, end, body, isAlone ? externalContent(node) : null);
    end += body.bytes.length;
    const tail = tails[index] as number;
    if (tail > 0) this.#tail(index, node, end, tail);
    this.#position = this.#base + end + tail;
  }

  #body(list: XattrList, isAlone: boolean): XattrBody {
    const known = isAlone ? list.overlayBody : list.body;
    if (known !== null) return known;
    const { algorithm, erofs } = this.#options;
    const body = makeBody(list, isAlone ? algorithm : null, { erofs, sharedBase: this.#sharedBase() });
    // What serves one inode is not kept.
    if (list.uses > 1) list[isAlone ? "overlayBody" : "body"] = body;
    return body;
  }

  /** What an offset in the shared table is added to in a reference. */
  #sharedBase(): number {
    const { inodesEnd } = this.#layout;
    return this.#options.erofs === "v2" ? inodesEnd : inodesEnd % BLOCK_SIZE;
  }

  /** @param at where the inode begins in the buffer @param bodyLength of its xattrs */
  #header(index: number, node: Node, at: number, bodyLength: number): void {
    const { offsets, linkCounts, compact, types } = this.#layout;
    const { view } = this.#target;
    const isV2 = this.#options.erofs === "v2";
    const isCompact = compact[index] === 1;
    const links = linkCounts[index] as number;
    const format = this.#describe(index, node, at, isCompact);
    view.setUint16(at, isCompact ? format : format | EXTENDED_BIT, true);
    view.setUint16(at + 2, bodyLength === 0 ? 0 : 1 + (bodyLength - XATTR_BODY_HEADER_SIZE) / 4, true);
    view.setUint16(at + 4, (MODE_BITS[types[index] as number] as number) | node.mode, true);
    view.setUint32(at + 20, isV2 ? (offsets[index] as number) / SLOT_SIZE : index, true);
    if (isCompact) {
      view.setUint16(at + 6, links, true);
      view.setUint16(at + 24, node.uid, true);
      view.setUint16(at + 26, node.gid, true);
      return;
    }
    view.setUint32(at + 24, node.uid, true);
    view.setUint32(at + 28, node.gid, true);
    view.setBigInt64(at + 32, node.mtimeSec, true);
    if (!isV2) view.setUint32(at + 40, node.mtimeNsec, true);
    view.setUint32(at + 44, links, true);
  }

  /**
   * Writes the size, and the word whose meaning depends on the data layout.
   * @param at where the inode begins in the buffer
   * @returns the data layout
   */
  #describe(index: number, node: Node, at: number, isCompact: boolean): number {
    const tail = this.#layout.tails[index] as number;
    const blocks = this.#layout.blocks[index] as number;
    const blockAddress = blocks > 0 ? this.#nextBlock : 0;
    this.#nextBlock += blocks;
    const format = tail > 0 ? LAYOUT.inline : LAYOUT.plain;
    switch (node.kind) {
      case "directory":
        this.#sizeAndWord(at, isCompact, blocks * BLOCK_SIZE + tail, blockAddress);
        return format;
      case "symlink":
        this.#sizeAndWord(at, isCompact, node.target.length, blockAddress);
        return format;
      case "regular": {
        const { content } = node;
        if (content.kind === "inline") {
          this.#sizeAndWord(at, isCompact, content.bytes.length, blockAddress);
          return format;
        }
        if (this.#options.dialect === "c" && content.size === 0n) return format;
        const bits = this.#options.erofs === "v2" ? MAX_CHUNK_BITS : chunking(content.size).bits;
        // The chunk format is the lower half of the word; the upper one keeps that of the block address.
        this.#sizeAndWord(at, isCompact, Number(content.size), ((blockAddress & 0xffff0000) | bits) >>> 0);
        if (!isCompact && content.size >= EXACT_BELOW) this.#target.view.setBigUint64(at + 8, content.size, true);
        return LAYOUT.chunks;
      }
      case "char":
      case "block":
        this.#sizeAndWord(at, isCompact, 0, node.rdev);
        return format;
      case "fifo":
      case "socket":
        return format;
    }
  }

  /** @param size below 2^53 */
  #sizeAndWord(at: number, isCompact: boolean, size: number, word: number): void {
    this.#target.view.setUint32(at + 8, size, true);
    if (!isCompact && size >= 2 ** 32) this.#target.view.setUint32(at + 12, Math.floor(size / 2 ** 32), true);
    this.#target.view.setUint32(at + 16, word, true);
  }

  #tail(index: number, node: Node, at: number, length: number): void {
    if (node.kind === "regular") this.#fileTail(node, at, length);
    else if (node.kind === "symlink") this.#target.bytes.set(node.target, at);
    else if (node.kind === "directory") this.#directoryPart(index, this.#layout.blocks[index] as number, at);
  }

  #fileTail(node: RegularFile, at: number, length: number): void {
    if (node.content.kind === "inline") this.#target.bytes.set(node.content.bytes.subarray(-length), at);
    // One index of a chunk, nearly always.
    else if (length === 4) this.#target.view.setUint32(at, 0xffff_ffff, true);
    else this.#target.bytes.fill(0xff, at, at + length);
  }

  /** The data blocks of an inode, one at a time. */
  *dataBlocks(index: number): Generator<void> {
    const count = this.#layout.blocks[index] as number;
    const node = this.#layout.inodes.nodes[index] as Node;
    for (let block = 0; block < count; block++) {
      const start = this.#position;
      const at = start - this.#base;
      if (node.kind === "directory") this.#directoryPart(index, block, at);
      else if (node.kind === "symlink") this.#target.bytes.set(node.target, at);
      else if (node.kind === "regular") this.#fileBlock(node, block, at);
      this.moveTo(start + BLOCK_SIZE);
      yield;
    }
  }

  #fileBlock(node: RegularFile, block: number, at: number): void {
    if (node.content.kind === "external") this.#target.bytes.fill(0xff, at, at + BLOCK_SIZE);
    else this.#target.bytes.set(node.content.bytes.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE), at);
  }

  #directoryPart(index: number, part: number, at: number): void {
    if (this.#listed !== index) this.#items.read(this.#layout.inodes, index, this.#options.erofs);
    this.#listed = index;
    this.#items.write(this.#target, at, part, this.#layout);
  }

  sharedXattr(xattr: Parameters<typeof writeXattr>[2]): void {
    this.moveTo(this.#base + writeXattr(this.#target, this.#position - this.#base, xattr));
  }
}
