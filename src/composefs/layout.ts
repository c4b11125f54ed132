/**
 * First pass of writing an image: where everything goes. The second (`writer.ts`) puts bytes there
 * and never looks back. What the digests of files have no part in is planned before, while they are computed.
 *
 * No inode's tail (the end of its data that follows it) may cross a block boundary: the kernel reads it from one block.
 * The three versions make room for it in different ways.
 */
import { alignUp } from "../bytes.ts";
import type { Directory, Node } from "../tree/node.ts";
import {
  BLOCK_SIZE,
  COMPACT_INODE_SIZE,
  DIRENT_TYPES,
  EXTENDED_INODE_SIZE,
  INODES_OFFSET,
  SHARED_XATTR_MAX,
  SLOT_SIZE,
  XATTR_BODY_MAX,
} from "./format.ts";
import { collectXattrs, type InodeXattrs } from "./inode-xattrs.ts";
import { collectInodes, type ErofsOptions, type Inodes } from "./inodes.ts";
import { measure, newShape, refuse, type Shape, Shapes, typeOf } from "./measure.ts";
import type { VerityAlgorithm } from "./series.ts";
import { bodySize } from "./xattr-body.ts";
import { storedSize, type XattrList } from "./xattrs.ts";

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
  /** The type of each inode, as in directory entries ({@link DIRENT_TYPES}). */
  readonly types: Uint8Array;
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

/** What an image has of a tree whatever the digests of its files are. */
export interface ImagePlan {
  readonly inodes: Inodes;
  readonly buildTime: ErofsTime;
  /** How the data of each inode divides. */
  readonly shapes: Shapes;
  /** See {@link ErofsLayout.types}. */
  readonly types: Uint8Array;
}

/**
 * Plans the image of a tree.
 * @throws SealError `input` naming the path for what the format can't store
 */
export function planImage(tree: Directory, options: ErofsOptions): ImagePlan {
  const inodes = collectInodes(tree, options);
  const { nodes } = inodes;
  const shapes = new Shapes(nodes.length);
  const types = new Uint8Array(nodes.length);
  const shape = newShape();
  for (let index = 0; index < nodes.length; index++) {
    const node = nodes[index] as Node;
    measure(inodes, node, options, shape);
    shapes.set(index, shape);
    types[index] = typeOf(inodes, node);
  }
  const buildTime = options.erofs === "v2" ? { sec: 0n, nsec: 0 } : earliest(nodes, options);
  return { inodes, buildTime, shapes, types };
}

/**
 * Lays out a planned image, when all digests are there.
 * @param options those that it was planned with
 * @throws SealError `input` naming the path for what the format can't store
 */
export function layOut({ inodes, buildTime, shapes, types }: ImagePlan, options: ErofsOptions): ErofsLayout {
  const xattrs = collectXattrs(inodes, options);
  const count = inodes.nodes.length;
  const layout: Places = {
    inodes,
    xattrs,
    buildTime,
    types,
    offsets: new Float64Array(count),
    tails: new Uint16Array(count),
    blocks: new Uint32Array(count),
    compact: new Uint8Array(count),
    linkCounts: shapes.links,
  };
  const shape = newShape();
  const fitted: Fitted = { padding: 0, tail: 0, blocks: 0 };
  let position = INODES_OFFSET;
  let blocks = 0;
  for (let index = 0; index < count; index++) {
    shapes.get(index, shape);
    position = place(layout, index, alignUp(position, SLOT_SIZE), options, shape, fitted);
    blocks += fitted.blocks;
  }
  const inodesEnd = alignUp(position, SLOT_SIZE);
  let sharedEnd = inodesEnd;
  for (const xattr of xattrs.table.shared) sharedEnd += storedSize(xattr);
  const dataStart = alignUp(sharedEnd, BLOCK_SIZE);
  return { ...layout, inodesEnd, dataStart, imageSize: dataStart + blocks * BLOCK_SIZE };
}

type Places = Omit<ErofsLayout, "inodesEnd" | "dataStart" | "imageSize">;

/**
 * Decides on everything of one inode; returns the offset after it and its tail.
 * @param fitted gets where its data goes
 */
function place(
  layout: Places,
  index: number,
  position: number,
  { erofs, algorithm }: ErofsOptions,
  shape: Shape,
  fitted: Fitted,
): number {
  const node = layout.inodes.nodes[index] as Node;
  const isCompact = erofs !== "v2" && fitsCompact(node, shape, layout.buildTime);
  const body = checkedBodySize(layout, index, algorithm);
  const head = (isCompact ? COMPACT_INODE_SIZE : EXTENDED_INODE_SIZE) + body;
  if (erofs === "v2") roomForTailV2(shape, position, head, fitted);
  else roomForTail(shape, position, head, fitted);
  const offset = position + fitted.padding;
  layout.offsets[index] = offset;
  layout.tails[index] = fitted.tail;
  layout.blocks[index] = fitted.blocks;
  layout.compact[index] = isCompact ? 1 : 0;
  return offset + head + fitted.tail;
}

function fitsCompact(node: Node, { size, links }: Shape, buildTime: ErofsTime): boolean {
  return (
    node.mtimeNsec === buildTime.nsec &&
    node.mtimeSec === buildTime.sec &&
    links <= 0xffff &&
    node.uid <= 0xffff &&
    node.gid <= 0xffff &&
    size <= 0xffff_ffff
  );
}

/** Where the data of an inode goes. One object serves all inodes in turn. */
interface Fitted {
  /** Zeros before the inode. */
  padding: number;
  tail: number;
  blocks: number;
}

function settle(fitted: Fitted, padding: number, tail: number, blocks: number): void {
  fitted.padding = padding;
  fitted.tail = tail;
  fitted.blocks = blocks;
}

function toNextBlock(position: number): number {
  return alignUp(position, BLOCK_SIZE) - position;
}

/** V0 and V1. */
function roomForTail({ kind, tail, blocks }: Shape, position: number, head: number, into: Fitted): void {
  if (kind === "symlink") {
    // The kernel wants inode, xattrs and target in one block; where even an empty block is too small, the
    // target gets its own.
    const total = head + tail;
    const padding = (position % BLOCK_SIZE) + total > BLOCK_SIZE ? toNextBlock(position) : 0;
    if (total >= BLOCK_SIZE) settle(into, padding, 0, 1);
    else settle(into, padding, tail, blocks);
    return;
  }
  const left = BLOCK_SIZE - ((position + head) % BLOCK_SIZE);
  if (left >= tail) {
    settle(into, 0, tail, blocks);
    return;
  }
  const padding = alignUp(left, SLOT_SIZE);
  const leftThen = BLOCK_SIZE - ((position + padding + head) % BLOCK_SIZE);
  if (leftThen >= tail) settle(into, padding, tail, blocks);
  // Chunk indices alone can be this many.
  else settle(into, toNextBlock(position), 0, blocks + 1);
}

/**
 * V2: data that would begin in the block of the last metadata byte and end in another begins in the next
 * one. Chunks may cross.
 */
function roomForTailV2({ kind, tail, blocks }: Shape, position: number, head: number, into: Fitted): void {
  const last = position + head - 1;
  const end = position + head + tail;
  const crosses = Math.floor(last / BLOCK_SIZE) !== Math.floor(end / BLOCK_SIZE);
  const isMoved = crosses && kind !== "chunks" && tail > 0;
  settle(into, isMoved ? alignUp(BLOCK_SIZE - (last % BLOCK_SIZE), SLOT_SIZE) : 0, tail, blocks);
}

function checkedBodySize({ inodes, xattrs }: Places, index: number, algorithm: VerityAlgorithm): number {
  const list = xattrs.lists[index] as XattrList;
  const size = bodySize(list, xattrs.alone[index] === 1 ? algorithm : null);
  if (size > XATTR_BODY_MAX) {
    refuse(inodes, inodes.nodes[index] as Node, `its xattrs take ${size} bytes, the limit is ${XATTR_BODY_MAX}`);
  }
  const { length } = list.shared;
  if (length > SHARED_XATTR_MAX) {
    const reason = `${length} of its xattrs are shared with other files, the limit is ${SHARED_XATTR_MAX}`;
    refuse(inodes, inodes.nodes[index] as Node, reason);
  }
  return size;
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
