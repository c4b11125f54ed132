/**
 * The tree that layers make as bytes, and back: flat, so that reading it copies nothing.
 *
 * All integers are little endian. A head of 16 bytes: bytes of each fs-verity digest (u8; 0: there are no files with
 * one), three zeros, the number of lists of xattrs (u32), the bytes of all lists (u32), and the number of records (u32);
 * then the lists. A record is 32 bytes and what they announce. The root comes first, each directory before what is in
 * it, in order:
 *
 *     0  u8   kind       1  u8   bytes of the name     2  26 bytes   metadata, see `inode-codec.ts`
 *    28  u32  by kind: entries of a directory, bytes of a content or target, device, for another name of an inode the
 *             number of its first one among all records that are no directories and no such names, from 0
 *
 * The name follows; then by kind content or target, or of a file outside of the image its size (u64), the number of the
 * layer that has it, and of its entry there (u32 each), and the digest.
 */
import { compareBytes } from "../bytes.ts";
import { ByteWriter } from "./byte-writer.ts";
import { readXattrLists, XattrListWriter } from "./inode-codec.ts";
import { LayerReader, MetadataReader } from "./layer-reader.ts";
import {
  type Directory,
  type Entry,
  type ExternalContent,
  INLINE_LIMIT,
  type Leaf,
  type Metadata,
  type RegularFile,
} from "./node.ts";
import { digestLength, PooledContent } from "./pooled-content.ts";
import { leafOf, withEntries } from "./rebuild.ts";

/** Where the content of a file is: the number of its layer, from 0 for the lowest, and of its entry there. */
export interface ContentPlace {
  readonly layer: number;
  readonly entry: number;
}

/** A tree that layers make. */
export interface LayeredTree {
  readonly root: Directory;
  /** Where a content outside of the image is; undefined: it is of no file of this tree. */
  readonly placeOf: (content: RegularFile["content"]) => ContentPlace | undefined;
}

/** The number of each is what is written. */
const KINDS = ["directory", "inline", "external", "symlink", "hardlink", "char", "block", "fifo"] as const;
type Kind = (typeof KINDS)[number];

const HEAD = 16;
const RECORD = 32;
/** Of an external file, before its digest. */
const PLACE = 16;

/**
 * @throws RangeError for digests of several lengths, or none, contents without a place, and what no layer holds
 */
export function encodeTree({ root, placeOf }: LayeredTree): Uint8Array<ArrayBuffer> {
  const lists = new XattrListWriter();
  const leaves = new Map<Leaf, number>();
  let size = HEAD;
  let records = 0;
  let length = 0;
  for (const { name, node } of recordsOf(root)) {
    records++;
    size += RECORD + name.length;
    lists.add(node.xattrs);
    if (node.kind === "directory" || leaves.has(node)) continue;
    leaves.set(node, leaves.size);
    if (node.kind === "symlink") size += node.target.length;
    if (node.kind !== "regular") continue;
    if (node.content.kind === "inline") size += node.content.bytes.length;
    else {
      const own = digestLength(node.content) ?? 0;
      if (own === 0 || (length !== 0 && own !== length)) throw new RangeError("digests of several lengths, or none");
      length = own;
      size += PLACE + own;
    }
  }
  const writer = new ByteWriter(size + lists.size);
  writer.u32(length);
  for (const number of [lists.count, lists.size, records]) writer.u32(number);
  lists.write(writer);
  const written = new Set<Leaf>();
  for (const { name, node } of recordsOf(root)) {
    const isLink = node.kind !== "directory" && written.has(node);
    writer.u8(KINDS.indexOf(isLink ? "hardlink" : kindOf(node)));
    writer.u8(name.length);
    lists.writeMetadata(writer, node);
    writer.u32(isLink ? (leaves.get(node) ?? 0) : numberOf(node));
    writer.bytes(name);
    if (isLink || node.kind === "directory") continue;
    written.add(node);
    if (node.kind === "symlink") writer.bytes(node.target);
    if (node.kind === "regular" && node.content.kind === "inline") writer.bytes(node.content.bytes);
    if (node.kind === "regular" && node.content.kind === "external") writeExternal(writer, node.content, placeOf);
  }
  return writer.done();
}

function writeExternal(writer: ByteWriter, content: ExternalContent, placeOf: LayeredTree["placeOf"]): void {
  const place = placeOf(content);
  if (place === undefined) throw new RangeError("a content has no place");
  writer.i64(content.size);
  writer.u32(place.layer);
  writer.u32(place.entry);
  writer.bytes(content.digest ?? new Uint8Array());
}

function kindOf(node: Directory | Leaf): Kind {
  if (node.kind === "socket") throw new RangeError("no layer has a socket");
  return node.kind === "regular" ? node.content.kind : node.kind;
}

/** What stands behind the metadata. */
function numberOf(node: Directory | Leaf): number {
  switch (node.kind) {
    case "directory":
      return node.entries.length;
    case "regular":
      return node.content.kind === "inline" ? node.content.bytes.length : 0;
    case "symlink":
      return node.target.length;
    case "char":
    case "block":
      return node.rdev;
    default:
      return 0;
  }
}

const NO_NAME = new Uint8Array();

/** All nodes, by each of their names, as they are written. */
function* recordsOf(root: Directory): Generator<Entry> {
  yield { name: NO_NAME, node: root };
  const open = [{ entries: root.entries, next: 0 }];
  for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
    const entry = top.entries[top.next++];
    if (entry === undefined) {
      open.pop();
      continue;
    }
    yield entry;
    if (entry.node.kind === "directory") open.push({ entries: entry.node.entries, next: 0 });
  }
}

/** A directory whose entries are being read. */
interface Frame {
  readonly name: Uint8Array;
  readonly metadata: Metadata;
  readonly entries: Entry[];
  left: number;
}

/**
 * The tree that {@link encodeTree} wrote; names, targets, digests and xattrs are in the memory of these bytes.
 * @param subject what messages call them
 * @throws SealError `input` for bytes that say what no tree has
 */
export function decodeTree(bytes: Uint8Array, subject: string): LayeredTree {
  const reader = new LayerReader(bytes, subject);
  const { view } = reader;
  reader.take(HEAD);
  const length = view.getUint32(0, true);
  if (![0, 32, 64].includes(length)) throw reader.damaged("its head");
  const lists = readXattrLists(reader, view.getUint32(4, true), view.getUint32(8, true));
  const records = new RecordReader(reader, new MetadataReader(reader, lists), length);
  const root = records.tree();
  if (!reader.isAtEnd || records.count !== view.getUint32(12, true)) throw reader.damaged("its records");
  const placeOf = (content: RegularFile["content"]): ContentPlace | undefined => {
    if (content.kind === "inline" || content.slab !== records.slab || content.digestAt === undefined) return undefined;
    const { digestAt } = content;
    return { layer: view.getUint32(digestAt - 8, true), entry: view.getUint32(digestAt - 4, true) };
  };
  return { root, placeOf };
}

class RecordReader {
  /** Records that have been read. */
  count = 0;
  readonly slab: { readonly bytes: Uint8Array; readonly digestLength: number };
  readonly #reader: LayerReader;
  readonly #metadata: MetadataReader;
  readonly #leaves: Leaf[] = [];

  constructor(reader: LayerReader, metadata: MetadataReader, digestLength: number) {
    this.#reader = reader;
    this.#metadata = metadata;
    this.slab = { bytes: reader.all, digestLength };
  }

  tree(): Directory {
    const reader = this.#reader;
    const top = this.#next();
    if (!("entries" in top) || top.name.length !== 0) throw reader.damaged("its root");
    const open = [top];
    for (;;) {
      const frame = open[open.length - 1] as Frame;
      if (frame.left === 0) {
        const directory = withEntries(frame.metadata, frame.entries);
        open.pop();
        const parent = open[open.length - 1];
        if (parent === undefined) return directory;
        parent.entries.push({ name: frame.name, node: directory });
        continue;
      }
      frame.left--;
      const next = this.#next();
      const before = frame.entries[frame.entries.length - 1];
      const isNext = before === undefined ? next.name.length > 0 : compareBytes(before.name, next.name) < 0;
      if (!isNext) throw reader.damaged("the order of names");
      if ("entries" in next) open.push(next);
      else frame.entries.push(next);
    }
  }

  #next(): Frame | (Entry & { readonly node: Leaf }) {
    const reader = this.#reader;
    const { view } = reader;
    const start = reader.take(RECORD);
    const kind = KINDS[view.getUint8(start)];
    const metadata = this.#metadata.read(start);
    const number = view.getUint32(start + 28, true);
    const name = reader.bytes(view.getUint8(start + 1));
    if (kind === undefined || metadata === null || !isName(name)) throw reader.damaged("a record");
    this.count++;
    if (kind === "directory") return { name, metadata, entries: [], left: number };
    if (kind === "hardlink") {
      const node = this.#leaves[number];
      if (node === undefined) throw reader.damaged("a hardlink");
      return { name, node };
    }
    const node = this.#leaf(kind, metadata, number);
    this.#leaves.push(node);
    return { name, node };
  }

  /** @param number see the head of this file */
  #leaf(kind: Exclude<Kind, "directory" | "hardlink">, metadata: Metadata, number: number): Leaf {
    const reader = this.#reader;
    switch (kind) {
      case "inline": {
        if (number > INLINE_LIMIT) throw reader.damaged("a content");
        return leafOf({ kind: "regular", content: { kind, bytes: reader.bytes(number) } }, metadata);
      }
      case "external": {
        const size = reader.u64();
        const isPossible = size > INLINE_LIMIT && size <= Number.MAX_SAFE_INTEGER && this.slab.digestLength > 0;
        if (!isPossible) throw reader.damaged("the size of a file");
        reader.take(PLACE - 8);
        const digestAt = reader.take(this.slab.digestLength);
        return leafOf({ kind: "regular", content: new PooledContent(size, this.slab, digestAt) }, metadata);
      }
      case "symlink": {
        const target = reader.bytes(number);
        if (target.length === 0 || target.includes(0)) throw reader.damaged("the target of a symlink");
        return leafOf({ kind, target }, metadata);
      }
      case "char":
      case "block":
        return leafOf({ kind, rdev: number }, metadata);
      case "fifo":
        return leafOf({ kind }, metadata);
    }
  }
}

/** Whether a directory can have such an entry; the root has no name. */
function isName(name: Uint8Array): boolean {
  const { length } = name;
  if (length <= 2 && name[0] === DOT && (length === 1 || name[1] === DOT)) return false;
  for (let at = 0; at < length; at++) if (name[at] === 0 || name[at] === SLASH) return false;
  return true;
}
const DOT = 0x2e;
const SLASH = 0x2f;
