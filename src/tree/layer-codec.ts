/**
 * What a layer holds as bytes, and back: flat, so that it can be sent between threads and stored in files, and
 * reading it copies nothing.
 *
 * All integers are little endian. A head of 16 bytes: compression (u8: 0 none, 1 gzip, 2 Zstandard), whether it is one
 * part (u8), bytes of each fs-verity digest (u8; 0: there are none), a zero, the number of lists of xattrs (u32), of
 * entries (u32), and of the bytes of all lists (u32); lists and metadata of an inode are as in `inode-codec.ts`. An entry
 * is 32 bytes and what they announce:
 *
 *     0  u8   kind        1  u8   1: its headers differ    2  26 bytes   metadata
 *    28  u32 bytes of the path, which follows; then by kind: content (u32 and bytes), size (u64) and digest, target
 *        (u32 and bytes), device (u32)
 */
import type { LayerEntry } from "./build.ts";
import { ByteWriter } from "./byte-writer.ts";
import { readXattrLists, XattrListWriter } from "./inode-codec.ts";
import type { LayerContents } from "./layer-contents.ts";
import { LayerReader, MetadataReader } from "./layer-reader.ts";
import { INLINE_LIMIT } from "./node.ts";

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
  const lists = new XattrListWriter();
  let size = HEAD;
  let digestLength: number | null = null;
  for (const { path, metadata, item } of entries) {
    lists.add(metadata.xattrs);
    size += ENTRY + path.length + itemSize(item);
    if (item.kind !== "regular" || item.content.kind === "inline") continue;
    const { length } = item.content.digest ?? [];
    if (digestLength !== null && length !== digestLength) throw new RangeError("digests of several lengths");
    digestLength = length;
  }
  const writer = new ByteWriter(size + lists.size);
  writer.u8(COMPRESSIONS.indexOf(compression));
  writer.u8(Number(isOnePart));
  writer.u8(digestLength ?? 0);
  writer.u8(0);
  for (const number of [lists.count, entries.length, lists.size]) writer.u32(number);
  lists.write(writer);
  for (const entry of entries) writeEntry(writer, lists, entry);
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

function writeEntry(
  writer: ByteWriter,
  lists: XattrListWriter,
  { path, metadata, item, headersDiffer }: LayerEntry,
): void {
  writer.u8(KINDS.indexOf(kindOf(item)));
  writer.u8(Number(headersDiffer === true));
  lists.writeMetadata(writer, metadata);
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
      writer.sized(item.target);
      return;
    case "regular":
      if (item.content.kind === "inline") {
        writer.sized(item.content.bytes);
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
  const lists = readXattrLists(reader, listCount, listBytes);
  const entries: LayerEntry[] = [];
  const metadata = new MetadataReader(reader, lists);
  while (!reader.isAtEnd) entries.push(readEntry(reader, metadata, digestLength));
  if (entries.length !== entryCount) throw reader.damaged("its entries");
  return { entries, compression, isOnePart: isOnePart === 1 };
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
