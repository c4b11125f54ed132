/**
 * First pass of writing an image: where everything goes. The second (`writer.ts`) puts bytes there and never looks back.
 *
 * No inode's tail (the end of its data that follows it) may cross a block boundary: the kernel reads it from one block. The
 * three versions make room for it in different ways.
 */
import { alignUp, displayBytes } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { findPath } from "../tree/links.ts";
import { type Directory, type Entry, NAME_MAX, type Node, type RegularFile } from "../tree/node.ts";
import { measureDirectory } from "./directory.ts";
import {
  BLOCK_SIZE,
  COMPACT_INODE_SIZE,
  chunking,
  EXTENDED_INODE_SIZE,
  INODES_OFFSET,
  MAX_TAIL,
  SHARED_XATTR_MAX,
  SLOT_SIZE,
  XATTR_BODY_MAX,
} from "./format.ts";
import { collectXattrs, type InodeXattrs } from "./inode-xattrs.ts";
import { collectInodes, type ErofsOptions, type Inodes } from "./inodes.ts";
import { VERITY_HASHES } from "./verity.ts";
import { bodySize, storedSize } from "./xattrs.ts";

export interface ErofsLayout {
  readonly inodes: Inodes;
  readonly xattrs: InodeXattrs;
  readonly buildTime: ErofsTime;
  /** Offset of each inode in the image. */
  readonly offsets: Float64Array;
  /** Bytes of data that follow each inode and its xattrs. */
  readonly tails: Uint16Array;
  /** Number of data blocks of each inode. */
  readonly blocks: Uint32Array;
  /** 1 for inodes of the short form. */
  readonly compact: Uint8Array;
  /** Link count of each inode. */
  readonly linkCounts: Uint32Array;
  readonly inodesEnd: number;
  readonly dataStart: number;
  readonly imageSize: number;
}

export interface ErofsTime {
  readonly sec: bigint;
  readonly nsec: number;
}

/** As many chunk indices are stored at most: a block of them. */
const BLOCK_CHUNKS = BLOCK_SIZE / 4;
/** Linux PATH_MAX without the NUL. */
const TARGET_MAX = 4095;

/**
 * Lays out the image of a tree.
 * @throws SealError `input` naming the path for what the format can't store
 */
export function layOut(tree: Directory, options: ErofsOptions): ErofsLayout {
  checkNames(tree);
  const inodes = collectInodes(tree, options);
  const xattrs = collectXattrs(inodes, options);
  const count = inodes.nodes.length;
  const layout = {
    inodes,
    xattrs,
    buildTime: options.erofs === "v2" ? { sec: 0n, nsec: 0 } : earliest(inodes.nodes, options),
    offsets: new Float64Array(count),
    tails: new Uint16Array(count),
    blocks: new Uint32Array(count),
    compact: new Uint8Array(count),
    linkCounts: new Uint32Array(count),
  };
  let position = INODES_OFFSET;
  let blocks = 0;
  for (let index = 0; index < count; index++) {
    position = place(layout, index, alignUp(position, SLOT_SIZE), options);
    blocks += layout.blocks[index] as number;
  }
  const inodesEnd = alignUp(position, SLOT_SIZE);
  let sharedEnd = inodesEnd;
  for (const xattr of xattrs.table.shared) sharedEnd += storedSize(xattr);
  const dataStart = alignUp(sharedEnd, BLOCK_SIZE);
  return { ...layout, inodesEnd, dataStart, imageSize: dataStart + blocks * BLOCK_SIZE };
}

/** Decides on everything of one inode; returns the offset after it and its tail. */
function place(
  layout: Omit<ErofsLayout, "inodesEnd" | "dataStart" | "imageSize">,
  index: number,
  position: number,
  options: ErofsOptions,
): number {
  const node = layout.inodes.nodes[index] as Node;
  const shape = measure(layout.inodes, node, options);
  const links = node.kind === "directory" ? countSubdirectories(node) : (layout.inodes.links.get(node)?.count ?? 1);
  const isCompact = options.erofs !== "v2" && fitsCompact(node, shape.size, links, layout.buildTime);
  const body = checkedBodySize(layout, index, node);
  const head = (isCompact ? COMPACT_INODE_SIZE : EXTENDED_INODE_SIZE) + body;
  const { padding, tail, blocks } =
    options.erofs === "v2" ? roomForTailV2(shape, position, head) : roomForTail(shape, position, head);
  const offset = position + padding;
  layout.offsets[index] = offset;
  layout.tails[index] = tail;
  layout.blocks[index] = blocks;
  layout.compact[index] = isCompact ? 1 : 0;
  layout.linkCounts[index] = links;
  return offset + head + tail;
}

/** How an inode's data divides before its place is known. */
interface Shape {
  readonly kind: "data" | "symlink" | "chunks";
  /** Exact up to 2^53: what counts is whether it fits into 32 bits. */
  readonly size: number;
  readonly blocks: number;
  readonly tail: number;
}

const NO_DATA: Shape = { kind: "data", size: 0, blocks: 0, tail: 0 };

function measure(inodes: Inodes, node: Node, options: ErofsOptions): Shape {
  switch (node.kind) {
    case "directory": {
      const { blocks, tail } = measureDirectory(node.entries);
      return { kind: "data", size: blocks * BLOCK_SIZE + tail, blocks, tail };
    }
    case "regular":
      return measureFile(inodes, node, options);
    case "symlink":
      if (node.target.length > TARGET_MAX) refuse(inodes, node, `symlink target is longer than ${TARGET_MAX} bytes`);
      return { kind: "symlink", size: node.target.length, blocks: 0, tail: node.target.length };
    case "char":
    case "block":
    case "fifo":
    case "socket":
      return NO_DATA;
  }
}

function measureFile(inodes: Inodes, node: RegularFile, { erofs, algorithm, dialect }: ErofsOptions): Shape {
  const { content } = node;
  if (content.kind === "inline") {
    const size = content.bytes.length;
    if (erofs === "v2") {
      if (size >= BLOCK_SIZE) refuse(inodes, node, `${size} bytes of inline content do not fit into a V2 image`);
      return { kind: "data", size, blocks: 0, tail: size };
    }
    const tail = size % BLOCK_SIZE;
    const full = Math.floor(size / BLOCK_SIZE);
    return tail > MAX_TAIL
      ? { kind: "data", size, blocks: full + 1, tail: 0 }
      : { kind: "data", size, blocks: full, tail };
  }
  if (content.digest !== null && content.digest.length !== VERITY_HASHES[algorithm].length) {
    refuse(inodes, node, `its fs-verity digest is not ${algorithm}, but the image is to have that`);
  }
  const size = Number(content.size);
  if (erofs === "v2") return { kind: "chunks", size, blocks: 0, tail: content.digest === null ? 0 : 4 };
  const { count } = chunking(content.size);
  if (dialect === "c" && count > BLOCK_CHUNKS) refuse(inodes, node, `mkcomposefs can't store ${content.size} bytes`);
  return { kind: "chunks", size, blocks: 0, tail: Math.min(count, BLOCK_CHUNKS + 1) * 4 };
}

function countSubdirectories(directory: Directory): number {
  let count = 2;
  for (const entry of directory.entries) if (entry.node.kind === "directory") count++;
  return count;
}

function fitsCompact(node: Node, size: number, links: number, buildTime: ErofsTime): boolean {
  return (
    node.mtimeSec === buildTime.sec &&
    node.mtimeNsec === buildTime.nsec &&
    links <= 0xffff &&
    node.uid <= 0xffff &&
    node.gid <= 0xffff &&
    size <= 0xffff_ffff
  );
}

interface Fitted {
  /** Zeros before the inode. */
  readonly padding: number;
  readonly tail: number;
  readonly blocks: number;
}

function toNextBlock(position: number): number {
  return alignUp(position, BLOCK_SIZE) - position;
}

/** V0 and V1. */
function roomForTail({ kind, tail, blocks }: Shape, position: number, head: number): Fitted {
  if (kind === "symlink") {
    // The kernel wants inode, xattrs and target in one block; where even an empty block is too small, the target gets its own.
    const total = head + tail;
    const padding = (position % BLOCK_SIZE) + total > BLOCK_SIZE ? toNextBlock(position) : 0;
    return total >= BLOCK_SIZE ? { padding, tail: 0, blocks: 1 } : { padding, tail, blocks };
  }
  const left = BLOCK_SIZE - ((position + head) % BLOCK_SIZE);
  if (left >= tail) return { padding: 0, tail, blocks };
  const padding = alignUp(left, SLOT_SIZE);
  const leftThen = BLOCK_SIZE - ((position + padding + head) % BLOCK_SIZE);
  if (leftThen >= tail) return { padding, tail, blocks };
  // Chunk indices alone can be this many.
  return { padding: toNextBlock(position), tail: 0, blocks: blocks + 1 };
}

/** V2: data that would begin in the block of the last metadata byte and end in another begins in the next one. Chunks may cross. */
function roomForTailV2({ kind, tail, blocks }: Shape, position: number, head: number): Fitted {
  if (kind === "chunks" || tail === 0) return { padding: 0, tail, blocks };
  const last = position + head - 1;
  const end = position + head + tail;
  if (Math.floor(last / BLOCK_SIZE) === Math.floor(end / BLOCK_SIZE)) return { padding: 0, tail, blocks };
  return { padding: alignUp(BLOCK_SIZE - (last % BLOCK_SIZE), SLOT_SIZE), tail, blocks };
}

function checkedBodySize(
  { inodes, xattrs }: Pick<ErofsLayout, "inodes" | "xattrs">,
  index: number,
  node: Node,
): number {
  const list = xattrs.lists[index] as InodeXattrs["lists"][number];
  const size = bodySize(list, aloneDigest(xattrs, index, node));
  if (size > XATTR_BODY_MAX) refuse(inodes, node, `its xattrs take ${size} bytes, the limit is ${XATTR_BODY_MAX}`);
  if (list.shared.length > SHARED_XATTR_MAX) {
    refuse(
      inodes,
      node,
      `${list.shared.length} of its xattrs are those of other files too, the limit is ${SHARED_XATTR_MAX}`,
    );
  }
  return size;
}

/** The digest whose overlay xattrs are not in the inode's list, or null. */
export function aloneDigest({ alone }: InodeXattrs, index: number, node: Node): Uint8Array | null {
  if (alone[index] === 0 || node.kind !== "regular" || node.content.kind !== "external") return null;
  return node.content.digest;
}

/** The smallest mtime. composefs-rs compares seconds as unsigned numbers, so that those before 1970 are the largest. */
function earliest(nodes: readonly Node[], { dialect }: ErofsOptions): ErofsTime {
  let best: Node | undefined;
  for (const node of nodes) if (best === undefined || isEarlier(node, best, dialect === "c")) best = node;
  return { sec: best?.mtimeSec ?? 0n, nsec: best?.mtimeNsec ?? 0 };
}

function isEarlier(a: Node, b: Node, signed: boolean): boolean {
  if (a.mtimeSec === b.mtimeSec) return a.mtimeNsec < b.mtimeNsec;
  const sameSign = a.mtimeSec < 0n === b.mtimeSec < 0n;
  return signed || sameSign ? a.mtimeSec < b.mtimeSec : a.mtimeSec >= 0n;
}

function checkNames(tree: Directory): void {
  const isBad = (entry: Entry) => entry.name.length === 0 || entry.name.length > NAME_MAX;
  const directories = [tree];
  for (let directory = directories.pop(); directory !== undefined; directory = directories.pop()) {
    for (const entry of directory.entries) {
      if (isBad(entry))
        throw inputError(displayBytes(findPath(tree, isBad)), `file name is longer than ${NAME_MAX} bytes`);
      if (entry.node.kind === "directory") directories.push(entry.node);
    }
  }
}

function refuse(inodes: Inodes, node: Node, reason: string): never {
  throw inputError(displayBytes(findPath(inodes.root, (entry) => entry.node === node)), reason);
}
