/**
 * What a layer holds as bytes, and back: flat, so that it can be sent between threads and stored in files, and
 * reading it copies nothing.
 *
 * All integers are little endian. A head of 16 bytes: compression (u8: 0 none, 1 gzip, 2 Zstandard), whether it is one
 * part (u8), bytes of each fs-verity digest (u8; 0: there are none), a zero, the number of lists of xattrs (u32), of
 * entries (u32), and of the bytes of all lists (u32). A list is its length (u32), then for each xattr the lengths of
 * name and value (u32 each) and their bytes. An entry is 32 bytes and what they announce:
 *
 *     0  u8   kind        1  u8   1: its headers differ    2  u16  mode            4  u32  uid      8  u32  gid
 *    12  u32 nanoseconds of the mtime 16 i64 its seconds 24 u32 list of xattrs, from 1; 0: none
 *    28  u32 bytes of the path, which follows; then by kind: content (u32 and bytes), size (u64) and digest, target
 *        (u32 and bytes), device (u32)
 */
import { compareBytes } from "../bytes.ts";
import type { LayerEntry } from "./build.ts";
import type { LayerContents } from "./layer-contents.ts";
import { LayerReader, MetadataReader } from "./layer-reader.ts";
import { INLINE_LIMIT, type Xattr } from "./node.ts";

/** What is written: requested contents travel separately. */
export type LayerEntries = Omit<LayerContents, "contents">;

const COMPRESSIONS = ["none", "gzip", "zstd"] as const;
/** The number of each in {@link KINDS} is what is written. */
const KINDS = ["directory", "inline", "external", "symlink", "hardlink", "char", "block", "fifo"] as const;
type Kind = (typeof KINDS)[number];

const HEAD = 16;
const ENTRY = 32;

/**
 * @throws RangeError for entries whose digests are of several lengths, and for what no archive has:
 *   a time beyond 64 bits
 */
export function encodeLayer({ entries, compression, isOnePart }: LayerEntries): Uint8Array<ArrayBuffer> {
  const lists = new Map<readonly Xattr[], number>();
  let listBytes = 0;
  let size = HEAD;
  let digestLength: number | null = null;
  for (const { path, metadata, item } of entries) {
    if (metadata.xattrs.length > 0 && !lists.has(metadata.xattrs)) {
      lists.set(metadata.xattrs, lists.size + 1);
      listBytes += 4 + metadata.xattrs.reduce((sum, { name, value }) => sum + 8 + name.length + value.length, 0);
    }
    size += ENTRY + path.length + itemSize(item);
    if (item.kind !== "regular" || item.content.kind === "inline") continue;
    const { length } = item.content.digest ?? [];
    if (digestLength !== null && length !== digestLength) throw new RangeError("digests of several lengths");
    digestLength = length;
  }
  const writer = new Writer(size + listBytes);
  writer.u8(COMPRESSIONS.indexOf(compression));
  writer.u8(Number(isOnePart));
  writer.u8(digestLength ?? 0);
  writer.u8(0);
  for (const number of [lists.size, entries.length, listBytes]) writer.u32(number);
  for (const list of lists.keys()) {
    writer.u32(list.length);
    for (const { name, value } of list) {
      writer.u32(name.length);
      writer.u32(value.length);
      writer.bytes(name);
      writer.bytes(value);
    }
  }
  for (const entry of entries) writeEntry(writer, entry, lists.get(entry.metadata.xattrs) ?? 0);
  return writer.done();
}

function kindOf(item: LayerEntry["item"]): Kind {
  return item.kind === "regular" ? item.content.kind : item.kind;
}

function itemSize(item: LayerEntry["item"]): number {
  switch (item.kind) {
    case "directory":
    case "fifo":
      return 0;
    case "char":
    case "block":
      return 4;
    case "symlink":
    case "hardlink":
      return 4 + item.target.length;
    case "regular":
      return item.content.kind === "inline" ? 4 + item.content.bytes.length : 8 + (item.content.digest?.length ?? 0);
  }
}

function writeEntry(writer: Writer, { path, metadata, item, headersDiffer }: LayerEntry, list: number): void {
  writer.u8(KINDS.indexOf(kindOf(item)));
  writer.u8(Number(headersDiffer === true));
  writer.u16(metadata.mode);
  writer.u32(metadata.uid);
  writer.u32(metadata.gid);
  writer.u32(metadata.mtimeNsec);
  writer.i64(metadata.mtimeSec);
  writer.u32(list);
  writer.u32(path.length);
  writer.bytes(path);
  switch (item.kind) {
    case "directory":
    case "fifo":
      return;
    case "char":
    case "block":
      writer.u32(item.rdev);
      return;
    case "symlink":
    case "hardlink":
      writer.u32(item.target.length);
      writer.bytes(item.target);
      return;
    case "regular":
      if (item.content.kind === "inline") {
        writer.u32(item.content.bytes.length);
        writer.bytes(item.content.bytes);
      } else {
        writer.i64(item.content.size);
        if (item.content.digest !== null) writer.bytes(item.content.digest);
      }
  }
}

/**
 * What was written by {@link encodeLayer}; paths, targets, digests and xattrs are views of the bytes.
 * @param subject what messages call them
 * @throws SealError `input` for bytes that say what no layer holds: what is accepted is what reading a
 *   layer could have given
 */
export function decodeLayer(bytes: Uint8Array, subject: string): LayerEntries {
  const reader = new LayerReader(bytes, subject);
  const { view } = reader;
  reader.take(4);
  const compression = COMPRESSIONS[view.getUint8(0)];
  const isOnePart = view.getUint8(1);
  const digestLength = view.getUint8(2);
  const isKnown = compression !== undefined && isOnePart <= 1 && [0, 32, 64].includes(digestLength);
  if (!isKnown || view.getUint8(3) !== 0) throw reader.damaged("its head");
  reader.take(HEAD - 4);
  const listCount = view.getUint32(4, true);
  const entryCount = view.getUint32(8, true);
  const listBytes = view.getUint32(12, true);
  const lists: (readonly Xattr[])[] = [NO_XATTRS];
  while (reader.position < HEAD + listBytes) lists.push(readList(reader));
  if (reader.position !== HEAD + listBytes || lists.length !== listCount + 1) throw reader.damaged("its xattrs");
  const entries: LayerEntry[] = [];
  const metadata = new MetadataReader(reader, lists);
  while (!reader.isAtEnd) entries.push(readEntry(reader, metadata, digestLength));
  if (entries.length !== entryCount) throw reader.damaged("its entries");
  return { entries, compression, isOnePart: isOnePart === 1 };
}

const NO_XATTRS: readonly Xattr[] = [];

function readList(reader: LayerReader): readonly Xattr[] {
  const count = reader.u32();
  const list: Xattr[] = [];
  for (let index = 0; index < count; index++) {
    const nameLength = reader.u32();
    const valueLength = reader.u32();
    const xattr = { name: reader.bytes(nameLength), value: reader.bytes(valueLength) };
    const before = list.at(-1);
    if (before !== undefined && compareBytes(before.name, xattr.name) >= 0) throw reader.damaged("the order of xattrs");
    list.push(xattr);
  }
  if (count === 0) throw reader.damaged("an empty list of xattrs");
  return list;
}

function readEntry(reader: LayerReader, all: MetadataReader, digestLength: number): LayerEntry {
  const { view } = reader;
  const start = reader.take(ENTRY);
  const kind = KINDS[view.getUint8(start)];
  const differs = view.getUint8(start + 1);
  const metadata = all.read(start);
  const pathLength = view.getUint32(start + 28, true);
  if (kind === undefined || metadata === null || differs > 1 || pathLength === 0) throw reader.damaged("an entry");
  const path = reader.bytes(pathLength);
  return { path, metadata, item: readItem(reader, kind, digestLength), headersDiffer: differs === 1 };
}

const DIRECTORY = { kind: "directory" } as const;
const FIFO = { kind: "fifo" } as const;

function readItem(reader: LayerReader, kind: Kind, digestLength: number): LayerEntry["item"] {
  switch (kind) {
    case "directory":
      return DIRECTORY;
    case "fifo":
      return FIFO;
    case "char":
    case "block":
      return { kind, rdev: reader.u32() };
    case "symlink": {
      const target = reader.bytes(reader.u32());
      if (target.length === 0 || target.includes(0)) throw reader.damaged("the target of a symlink");
      return { kind, target };
    }
    case "hardlink":
      return { kind, target: reader.bytes(reader.u32()) };
    case "inline": {
      const bytes = reader.bytes(reader.u32());
      if (bytes.length > INLINE_LIMIT) throw reader.damaged("a content");
      return { kind: "regular", content: { kind, bytes } };
    }
    case "external": {
      const size = reader.u64();
      if (size <= INLINE_LIMIT || size > Number.MAX_SAFE_INTEGER) throw reader.damaged("the size of a file");
      const digest = digestLength === 0 ? null : reader.bytes(digestLength);
      return { kind: "regular", content: { kind, size, digest, payload: digest === null ? null : "digest" } };
    }
  }
}

class Writer {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  #position = 0;

  constructor(size: number) {
    this.#bytes = new Uint8Array(size);
    this.#view = new DataView(this.#bytes.buffer);
  }

  u8(value: number): void {
    this.#view.setUint8(this.#position++, value);
  }

  u16(value: number): void {
    this.#view.setUint16(this.#position, value, true);
    this.#position += 2;
  }

  u32(value: number): void {
    this.#view.setUint32(this.#position, value, true);
    this.#position += 4;
  }

  i64(value: bigint): void {
    if (BigInt.asIntN(64, value) !== value) throw new RangeError(`${value} has more than 64 bits`);
    this.#view.setBigInt64(this.#position, value, true);
    this.#position += 8;
  }

  bytes(bytes: Uint8Array): void {
    this.#bytes.set(bytes, this.#position);
    this.#position += bytes.length;
  }

  /** @throws Error when less or more was written than announced, which is a bug */
  done(): Uint8Array<ArrayBuffer> {
    if (this.#position !== this.#bytes.length) throw new Error("a layer has another size than was counted");
    return this.#bytes;
  }
}
