/**
 * Directories of an image (EROFS on-disk format, "Directories"): entries sorted by bytes, `.` and `..` among them, in blocks that
 * hold all headers first and then the names.
 */
import type { Directory, Entry, Node } from "../tree/node.ts";
import { BLOCK_SIZE, DIRENT_SIZE, DIRENT_TYPES, type ErofsBuffer, MAX_TAIL, SLOT_SIZE } from "./format.ts";
import { forEachChild, type Inodes } from "./inodes.ts";
import type { ErofsVersion } from "./series.ts";

/** A directory entry as it is stored. */
export interface DirectoryItem {
  readonly name: Uint8Array;
  readonly inode: number;
  readonly node: Node;
}

/** Data blocks and tail of a directory: entries fill blocks in order, and a long rest gets a block too. */
export function measureDirectory(entries: readonly Entry[]): { readonly blocks: number; readonly tail: number } {
  let blocks = 0;
  let used = 0;
  forEachName(entries, (length) => {
    if (used + DIRENT_SIZE + length > BLOCK_SIZE) {
      blocks++;
      used = 0;
    }
    used += DIRENT_SIZE + length;
  });
  return used > MAX_TAIL ? { blocks: blocks + 1, tail: 0 } : { blocks, tail: used };
}

/** Lengths of the names of a directory in order, with those of `.` and `..` at their place. */
function forEachName(entries: readonly Entry[], visit: (length: number) => void): void {
  const { dot, dotDot } = dotPlaces(entries);
  for (let index = 0; index <= entries.length; index++) {
    if (index === dot) visit(1);
    if (index === dotDot) visit(2);
    const entry = entries[index];
    if (entry !== undefined) visit(entry.name.length);
  }
}

/** Before which entries `.` and `..` come; `.` before `..` if that is the same one. */
function dotPlaces(entries: readonly Entry[]): { readonly dot: number; readonly dotDot: number } {
  const after = (isBefore: (name: Uint8Array) => boolean) => {
    const index = entries.findIndex((entry) => !isBefore(entry.name));
    return index < 0 ? entries.length : index;
  };
  return {
    dot: after((name) => (name[0] as number) < DOT_BYTE),
    dotDot: after((name) => (name[0] as number) < DOT_BYTE || (name[0] === DOT_BYTE && (name[1] as number) < DOT_BYTE)),
  };
}

const DOT_BYTE = 0x2e;

/** Entries of a directory as they fill blocks, in order; what is left is the last part. */
export function directoryParts(inodes: Inodes, index: number, erofs: ErofsVersion): DirectoryItem[][] {
  const parts: DirectoryItem[][] = [];
  let part: DirectoryItem[] = [];
  let used = 0;
  for (const item of directoryItems(inodes, index, erofs)) {
    const size = DIRENT_SIZE + item.name.length;
    if (used + size > BLOCK_SIZE) {
      parts.push(part);
      part = [];
      used = 0;
    }
    part.push(item);
    used += size;
  }
  parts.push(part);
  return parts;
}

function directoryItems(inodes: Inodes, index: number, erofs: ErofsVersion): DirectoryItem[] {
  const directory = inodes.nodes[index] as Directory;
  const parent = inodes.parents[index] as number;
  const { dot, dotDot } = dotPlaces(directory.entries);
  const items: DirectoryItem[] = [];
  const addDots = () => {
    const place = items.length;
    if (place === dot) items.push({ name: DOT, inode: index, node: directory });
    if (items.length === dotDot + 1) items.push({ name: DOT_DOT, inode: parent, node: directory });
  };
  forEachChild(inodes, index, erofs, ({ name, node }: Entry, inode) => {
    addDots();
    items.push({ name, inode, node });
  });
  addDots();
  return items;
}

/** Writes one block or tail of a directory into zeroed bytes. */
export function writeDirectoryPart(
  { bytes, view }: ErofsBuffer,
  start: number,
  items: readonly DirectoryItem[],
  { inodes, offsets }: { readonly inodes: Inodes; readonly offsets: Float64Array },
): void {
  let at = start;
  let name = start + DIRENT_SIZE * items.length;
  for (const item of items) {
    const nid = (offsets[item.inode] as number) / SLOT_SIZE;
    view.setUint32(at, nid % 2 ** 32, true);
    view.setUint32(at + 4, Math.floor(nid / 2 ** 32), true);
    view.setUint16(at + 8, name - start, true);
    bytes[at + 10] = inodes.whiteouts.has(item.node) ? DIRENT_TYPES.regular : DIRENT_TYPES[item.node.kind];
    bytes.set(item.name, name);
    at += DIRENT_SIZE;
    name += item.name.length;
  }
}

const DOT = Uint8Array.of(DOT_BYTE);
const DOT_DOT = Uint8Array.of(DOT_BYTE, DOT_BYTE);
