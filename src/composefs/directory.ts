/**
 * Directories of an image (EROFS on-disk format, "Directories"): entries sorted by bytes, `.` and `..` among them, in
 * blocks that hold all headers first and then the names.
 */
import type { Directory, Entry, Leaf } from "../tree/node.ts";
import { BLOCK_SIZE, DIRENT_SIZE, type ErofsBuffer, MAX_TAIL, SLOT_SIZE } from "./format.ts";
import type { Inodes } from "./inodes.ts";
import type { ErofsVersion } from "./series.ts";

/** Data blocks and tail of a directory: entries fill blocks in order, and a long rest gets a block too. */
export function measureDirectory(entries: readonly Entry[], into: { blocks: number; tail: number }): void {
  const { dot, dotDot } = dotPlaces(entries);
  let end = 0;
  for (let index = 0; index < entries.length; index++) {
    if (index === dot) end = endOfEntry(end, DOT.length);
    if (index === dotDot) end = endOfEntry(end, DOT_DOT.length);
    end = endOfEntry(end, (entries[index] as Entry).name.length);
  }
  if (dot === entries.length) end = endOfEntry(end, DOT.length);
  if (dotDot === entries.length) end = endOfEntry(end, DOT_DOT.length);
  const rest = end % BLOCK_SIZE;
  const isLong = rest > MAX_TAIL;
  into.blocks = (end - rest) / BLOCK_SIZE + (isLong ? 1 : 0);
  into.tail = isLong ? 0 : rest;
}

/**
 * Where an entry ends in the data of a directory whose other entries end at an offset: in the next block if it does
 * not fit into this one.
 */
function endOfEntry(end: number, nameLength: number): number {
  const size = DIRENT_SIZE + nameLength;
  const used = end % BLOCK_SIZE;
  return used + size > BLOCK_SIZE ? end - used + BLOCK_SIZE + size : end + size;
}

/** Before which entries `.` and `..` come; `.` before `..` if that is the same one. */
function dotPlaces(entries: readonly Entry[]): { readonly dot: number; readonly dotDot: number } {
  let dot = 0;
  while (dot < entries.length && firstByte(entries, dot) < DOT_BYTE) dot++;
  let dotDot = dot;
  while (dotDot < entries.length && isBeforeDotDot((entries[dotDot] as Entry).name)) dotDot++;
  return { dot, dotDot };
}

function firstByte(entries: readonly Entry[], index: number): number {
  return (entries[index] as Entry).name[0] as number;
}

/** Of a name that is not before `.`. */
function isBeforeDotDot(name: Uint8Array): boolean {
  return name[0] === DOT_BYTE && (name[1] as number) < DOT_BYTE;
}

const DOT_BYTE = 0x2e;
const DOT = Uint8Array.of(DOT_BYTE);
const DOT_DOT = Uint8Array.of(DOT_BYTE, DOT_BYTE);

/**
 * The entries of one directory as they are stored, in order. It serves one directory after the other, so that no
 * entry needs an object.
 */
export class DirectoryItems {
  readonly #names: Uint8Array[] = [];
  readonly #inodes: number[] = [];
  /** Where the first entry of each block but the first is. */
  readonly #starts: number[] = [];
  #count = 0;
  #end = 0;

  /** Takes the entries of a directory in place of those before. @param index of its inode */
  read(inodes: Inodes, index: number, erofs: ErofsVersion): void {
    const { entries } = inodes.nodes[index] as Directory;
    const { dot, dotDot } = dotPlaces(entries);
    const { extents, links, linked } = inodes;
    const hasLinks = links.size > 0;
    const isV2 = erofs === "v2";
    this.#starts.length = 0;
    this.#count = 0;
    this.#end = 0;
    let next = isV2 ? index + 1 : (extents[index] as number);
    for (let at = 0; at < entries.length; at++) {
      const entry = entries[at] as Entry;
      const { node } = entry;
      if (at === dot) this.#add(DOT, index);
      if (at === dotDot) this.#add(DOT_DOT, inodes.parents[index] as number);
      const isDirectory = node.kind === "directory";
      const known = isDirectory || !hasLinks ? undefined : links.get(node);
      if (known !== undefined && known.first !== entry) {
        this.#add(entry.name, linked.get(node as Leaf) as number);
        continue;
      }
      this.#add(entry.name, next);
      next = isV2 && isDirectory ? (extents[next] as number) : next + 1;
    }
    if (dot === entries.length) this.#add(DOT, index);
    if (dotDot === entries.length) this.#add(DOT_DOT, inodes.parents[index] as number);
  }

  #add(name: Uint8Array, inode: number): void {
    const end = endOfEntry(this.#end, name.length);
    if (end - this.#end > DIRENT_SIZE + name.length || (this.#end > 0 && this.#end % BLOCK_SIZE === 0)) {
      this.#starts.push(this.#count);
    }
    this.#end = end;
    this.#names[this.#count] = name;
    this.#inodes[this.#count] = inode;
    this.#count++;
  }

  /**
   * Writes one block, or the rest after the last one, into zeroed bytes.
   * @param types as in directory entries, by inode
   */
  write(
    { bytes, view }: ErofsBuffer,
    start: number,
    part: number,
    { offsets, types }: { readonly offsets: Float64Array; readonly types: Uint8Array },
  ): void {
    const first = part === 0 ? 0 : (this.#starts[part - 1] ?? this.#count);
    const end = this.#starts[part] ?? this.#count;
    let at = start;
    let place = start + DIRENT_SIZE * (end - first);
    for (let item = first; item < end; item++) {
      const inode = this.#inodes[item] as number;
      const name = this.#names[item] as Uint8Array;
      const nid = (offsets[inode] as number) / SLOT_SIZE;
      view.setUint32(at, nid, true);
      if (nid >= NID_HIGH) view.setUint32(at + 4, Math.floor(nid / NID_HIGH), true);
      view.setUint16(at + 8, place - start, true);
      bytes[at + 10] = types[inode] as number;
      for (let byte = 0; byte < name.length; byte++) bytes[place++] = name[byte] as number;
      at += DIRENT_SIZE;
    }
  }
}
const NID_HIGH = 2 ** 32;
