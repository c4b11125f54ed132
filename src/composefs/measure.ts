/** How large the data of each inode of an image is, and how it divides, before its place is known. */
import { displayBytes } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { findPath } from "../tree/links.ts";
import {
  type Directory,
  type ExternalContent,
  type Node,
  type NodeKind,
  type RegularFile,
  TYPE_BITS,
} from "../tree/node.ts";
import { digestLength } from "../tree/pooled-content.ts";
import { measureDirectory } from "./directory.ts";
import { BLOCK_SIZE, chunking, DIRENT_TYPES, MAX_TAIL } from "./format.ts";
import type { ErofsOptions, Inodes } from "./inodes.ts";
import { VERITY_HASHES } from "./verity.ts";

/** As many chunk indices are stored at most: a block of them. */
const BLOCK_CHUNKS = BLOCK_SIZE / 4;
/** Linux PATH_MAX without the NUL. */
const TARGET_MAX = 4095;

/** How an inode's data divides before its place is known. One object serves all inodes in turn. */
export interface Shape {
  kind: "data" | "symlink" | "chunks";
  /** Exact up to 2^53: what counts is whether it fits into 32 bits. */
  size: number;
  blocks: number;
  tail: number;
  /** Link count of the inode. */
  links: number;
}

/** A shape to be filled. */
export function newShape(): Shape {
  return { kind: "data", size: 0, blocks: 0, tail: 0, links: 1 };
}

const KINDS = ["data", "symlink", "chunks"] as const satisfies readonly Shape["kind"][];
const NUMBERS = { data: 0, symlink: 1, chunks: 2 } as const satisfies Record<Shape["kind"], number>;

/** The shapes of all inodes, by their number. */
export class Shapes {
  readonly #kinds: Uint8Array;
  readonly #sizes: Float64Array;
  readonly #blocks: Uint32Array;
  readonly #tails: Uint16Array;
  /** Link count of each inode. */
  readonly links: Uint32Array;

  constructor(count: number) {
    this.#kinds = new Uint8Array(count);
    this.#sizes = new Float64Array(count);
    this.#blocks = new Uint32Array(count);
    this.#tails = new Uint16Array(count);
    this.links = new Uint32Array(count);
  }

  set(index: number, { kind, size, blocks, tail, links }: Shape): void {
    this.#kinds[index] = NUMBERS[kind];
    this.#sizes[index] = size;
    this.#blocks[index] = blocks;
    this.#tails[index] = tail;
    this.links[index] = links;
  }

  get(index: number, into: Shape): void {
    into.kind = KINDS[this.#kinds[index] as number] as Shape["kind"];
    into.size = this.#sizes[index] as number;
    into.blocks = this.#blocks[index] as number;
    into.tail = this.#tails[index] as number;
    into.links = this.links[index] as number;
  }
}

function set(shape: Shape, kind: Shape["kind"], size: number, blocks: number, tail: number): void {
  shape.kind = kind;
  shape.size = size;
  shape.blocks = blocks;
  shape.tail = tail;
}

/** How the data of an inode divides. @throws SealError `input` naming the path for what the format can't store */
export function measure(inodes: Inodes, node: Node, options: ErofsOptions, into: Shape): void {
  if (node.kind === "directory") {
    measureDirectory(node.entries, into);
    into.kind = "data";
    into.size = into.blocks * BLOCK_SIZE + into.tail;
    into.links = countSubdirectories(node);
    return;
  }
  into.links = inodes.links.size === 0 ? 1 : (inodes.links.get(node)?.count ?? 1);
  switch (node.kind) {
    case "regular":
      measureFile(inodes, node, options, into);
      return;
    case "symlink": {
      const { length } = node.target;
      if (length > TARGET_MAX) refuse(inodes, node, `symlink target is longer than ${TARGET_MAX} bytes`);
      set(into, "symlink", length, 0, length);
      return;
    }
    case "char":
    case "block":
    case "fifo":
    case "socket":
      set(into, "data", 0, 0, 0);
  }
}

function measureFile(
  inodes: Inodes,
  node: RegularFile,
  { erofs, algorithm, dialect }: ErofsOptions,
  into: Shape,
): void {
  const { content } = node;
  if (content.kind === "inline") {
    const size = content.bytes.length;
    if (erofs === "v2") {
      if (size >= BLOCK_SIZE) refuse(inodes, node, `${size} bytes of inline content do not fit into a V2 image`);
      set(into, "data", size, 0, size);
      return;
    }
    const tail = size % BLOCK_SIZE;
    const full = (size - tail) / BLOCK_SIZE;
    if (tail > MAX_TAIL) set(into, "data", size, full + 1, 0);
    else set(into, "data", size, full, tail);
    return;
  }
  const length = digestLength(content);
  if (length !== null && length !== VERITY_HASHES[algorithm].length) {
    refuse(inodes, node, `its fs-verity digest is not ${algorithm}, which the image needs`);
  }
  const size = Number(content.size);
  if (erofs === "v2") {
    set(into, "chunks", size, 0, length === null ? 0 : 4);
    return;
  }
  const { count } = chunking(content.size);
  if (dialect === "c" && count > BLOCK_CHUNKS) refuse(inodes, node, `mkcomposefs can't store ${content.size} bytes`);
  set(into, "chunks", size, 0, Math.min(count, BLOCK_CHUNKS + 1) * 4);
}

/** The file type bits of `st_mode` by the type in directory entries. */
export const MODE_BITS = new Uint16Array(8);
for (const kind of Object.keys(DIRENT_TYPES) as NodeKind[]) MODE_BITS[DIRENT_TYPES[kind]] = TYPE_BITS[kind];
function countSubdirectories(directory: Directory): number {
  let count = 2;
  for (const entry of directory.entries) if (entry.node.kind === "directory") count++;
  return count;
}

/** The type of an inode, as in directory entries. Whiteouts that are content are regular files. */
export function typeOf({ whiteouts }: Inodes, node: Node): number {
  if (whiteouts.size > 0 && whiteouts.has(node)) return DIRENT_TYPES.regular;
  switch (node.kind) {
    case "regular":
      return DIRENT_TYPES.regular;
    case "directory":
      return DIRENT_TYPES.directory;
    case "symlink":
      return DIRENT_TYPES.symlink;
    default:
      return DIRENT_TYPES[node.kind];
  }
}

/** @throws SealError `input` naming the path of a node */
export function refuse(inodes: Inodes, node: Node, reason: string): never {
  throw inputError(displayBytes(findPath(inodes.root, (entry) => entry.node === node)), reason);
}

/** The content of a file outside of the image; null for anything else. */
export function externalContent(node: Node): ExternalContent | null {
  return node.kind === "regular" && node.content.kind === "external" ? node.content : null;
}
