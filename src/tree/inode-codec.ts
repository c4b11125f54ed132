/**
 * Metadata of inodes as bytes, in two parts; little endian. Lists of xattrs, each after its length (u32), and of each
 * xattr the lengths of name and value (u32 each) and their bytes. And 26 bytes for each inode:
 *
 *      0 u16 mode       2 u32 uid     6 u32 gid    10 u32 nanoseconds of the mtime    14 i64 its seconds
 *     22 u32 list of xattrs, from 1; 0: none
 */
import { compareBytes } from "../bytes.ts";
import type { ByteWriter } from "./byte-writer.ts";
import type { LayerReader } from "./layer-reader.ts";
import type { Metadata, Xattr } from "./node.ts";

/** Lists of xattrs, each of which is written once. */
export class XattrListWriter {
  readonly #numbers = new Map<readonly Xattr[], number>();
  /** Bytes of all lists. */
  size = 0;

  get count(): number {
    return this.#numbers.size;
  }

  add(list: readonly Xattr[]): void {
    if (list.length === 0 || this.#numbers.has(list)) return;
    this.#numbers.set(list, this.#numbers.size + 1);
    this.size += 4 + list.reduce((sum, { name, value }) => sum + 8 + name.length + value.length, 0);
  }

  write(writer: ByteWriter): void {
    for (const list of this.#numbers.keys()) {
      writer.u32(list.length);
      for (const { name, value } of list) {
        writer.u32(name.length);
        writer.u32(value.length);
        writer.bytes(name);
        writer.bytes(value);
      }
    }
  }

  /** Writes what is said of an inode, whose list was added. */
  writeMetadata(writer: ByteWriter, { mode, uid, gid, mtimeSec, mtimeNsec, xattrs }: Metadata): void {
    writer.u16(mode);
    writer.u32(uid);
    writer.u32(gid);
    writer.u32(mtimeNsec);
    writer.i64(mtimeSec);
    writer.u32(this.#numbers.get(xattrs) ?? 0);
  }
}

const NO_XATTRS: readonly Xattr[] = [];

/**
 * Lists of xattrs by their number.
 * @param count how many there are, besides the empty one
 * @param size bytes of all
 * @throws SealError `input` for what {@link XattrListWriter} does not write
 */
export function readXattrLists(reader: LayerReader, count: number, size: number): readonly (readonly Xattr[])[] {
  const lists: (readonly Xattr[])[] = [NO_XATTRS];
  const end = reader.position + size;
  while (reader.position < end) lists.push(readList(reader));
  if (reader.position !== end || lists.length !== count + 1) throw reader.damaged("its xattrs");
  return lists;
}

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
