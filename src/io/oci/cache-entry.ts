/**
 * The file that a layer has in the cache:
 *
 *     0   8 bytes   "SEALLYR" and the version of this format, 3
 *     8   u32       bytes of the packed table
 *    12   u32       bytes of the table
 *    16   32 bytes  SHA-256 of bytes 0 to 16 and the packed table
 *    48             the packed table (one Zstandard frame), small contents (one frame for all, if there are any), then
 *                   large ones (one frame each)
 *
 * The table has four parts, each after its length in bytes (u32): a text that names what was read and how; the digest
 * of the archive as text; entries as {@link encodeLayer} writes them; for each content that is there, the number of its
 * entry (u32) and the bytes of its frame (u32; 0: it is a small one). At its end it says how many bytes the frame of
 * small contents has (u32; 0: there are none), where they follow each other in the order of their entries, and if there
 * is one, what SHA-256 its bytes have: small contents are many, and hashing each for its digest takes longer than all
 * that is done with them. Little endian.
 */
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import zlib from "node:zlib";
import { Cursor, equalBytes, latin1, utf8 } from "../../bytes.ts";
import { concat } from "../../chunks.ts";
import type { VerityAlgorithm } from "../../composefs/series.ts";
import { VERITY_HASHES } from "../../composefs/verity.ts";
import { inputError } from "../../errors.ts";
import { type BlobDigest, formatBlobDigest, parseBlobDigest } from "../../oci/digest.ts";
import { decodeLayer, encodeLayer } from "../../tree/layer-codec.ts";
import type { LayerContents } from "../../tree/layer-contents.ts";
import type { ExternalContent } from "../../tree/node.ts";

/**
 * Which reading of layers the entries are of. One more whenever the same layer gives other entries or other
 * contents than before: then none of the older ones is used any more. `test/io/oci/reader-version.test.ts` pins
 * what this number means.
 */
export const READER_VERSION = 1;

/** What was read, and how. */
export interface CacheKey {
  /** Of the layer as it is stored. */
  readonly digest: BlobDigest;
  readonly mediaType: string | null;
  readonly algorithm: VerityAlgorithm;
  /** See `TransformRules.paxOwners`. */
  readonly paxOwners: "count" | "ignored";
}

/** A layer that was read before. */
export interface CachedLayer extends Omit<LayerContents, "contents"> {
  /** The digest that its archive had. */
  readonly diffId: BlobDigest;
  /** Contents of files that the cache keeps, by the number of their entry. */
  readonly contents: ReadonlyMap<number, StoredContent>;
}

/** Content of a file that the cache of layers keeps. */
export interface StoredContent {
  readonly frame: StoredFrame;
  /** Where it is in the unpacked frame. */
  readonly offset: number;
  readonly content: ExternalContent;
}

/** Contents that are packed together. */
export interface StoredFrame {
  /** Where it is in the file. */
  readonly start: number;
  readonly size: number;
  /** Bytes of what is in it. */
  readonly unpackedSize: number;
  /** SHA-256 of the bytes in the file; null: what is in it is a content that has to have its digest. */
  readonly checksum: Uint8Array | null;
}

const FORMAT = 3;
const MAGIC = utf8(`SEALLYR${String.fromCharCode(FORMAT)}`);
const HEAD = 48;
/** Contents up to this size are packed together: they are many, and few runs need any. */
export const SMALL_CONTENT = 64 << 10;
/** No table is larger: a million entries have some 150 MiB. */
const TABLE_LIMIT = 1 << 30;
/** Nor are all small contents of a layer: what reading keeps of an image has 192 MiB. */
const SMALL_LIMIT = 1 << 30;

/** Names what was read, and how it is written, in one text for each: versions of seal may share a directory. */
export function keyText({ digest, mediaType, algorithm, paxOwners }: CacheKey): string {
  const versions = [`reader ${READER_VERSION}`, `format ${FORMAT}`];
  const lines = [...versions, formatBlobDigest(digest), mediaType ?? "", algorithm, paxOwners];
  return lines.map((line) => `${line}\n`).join("");
}

const pack = promisify(zlib.zstdCompress);

/** The file for a layer. @param diffId the digest that its archive was found to have */
export async function encodeCacheEntry(key: CacheKey, diffId: BlobDigest, held: LayerContents): Promise<Uint8Array> {
  const contents = [...held.contents].sort(([a], [b]) => a - b);
  const large: Uint8Array[] = [];
  const small: Uint8Array[] = [];
  const rows = Buffer.alloc(contents.length * 8);
  for (const [index, [entry, bytes]] of contents.entries()) {
    const packed = bytes.length > SMALL_CONTENT ? await pack(bytes) : null;
    rows.writeUInt32LE(entry, index * 8);
    rows.writeUInt32LE(packed?.length ?? 0, index * 8 + 4);
    if (packed === null) small.push(bytes);
    else large.push(packed);
  }
  const packedSmall = small.length === 0 ? new Uint8Array() : await pack(concat(small));
  const parts = [utf8(keyText(key)), utf8(formatBlobDigest(diffId)), encodeLayer(held), rows];
  const smallSums = small.length === 0 ? [] : [checksum(packedSmall)];
  const table = concat([...parts.flatMap((part) => [u32(part.length), part]), u32(packedSmall.length), ...smallSums]);
  const packed = await pack(table);
  const head = concat([MAGIC, u32(packed.length), u32(table.length)]);
  return concat([head, checksum(head, packed), packed, packedSmall, ...large]);
}

/** What is read of a file before its table. */
export const CACHE_HEAD_SIZE = HEAD;

/**
 * The size of the table after the head of a file, packed.
 * @throws SealError `input` for an invalid head
 */
export function packedTableSize(head: Uint8Array, subject: string): number {
  const cursor = new Cursor(head, subject);
  if (!equalBytes(cursor.slice(0, MAGIC.length, WHAT), MAGIC)) {
    throw inputError(subject, "is damaged, or was written by another version of seal");
  }
  return cursor.u32(8, WHAT);
}

/**
 * What a file says of a layer.
 * @param bytes its head and packed table
 * @param size of the whole file
 * @throws SealError `input` for anything that is not at an entry for this key, whole and as it was written
 */
export function decodeCacheEntry(bytes: Uint8Array, size: number, key: CacheKey, subject: string): CachedLayer {
  const damaged = (what: string) => inputError(subject, `is damaged: ${what}`);
  const file = new Cursor(bytes, subject);
  const packed = file.slice(HEAD, packedTableSize(bytes, subject), WHAT);
  const head = file.slice(0, 16, WHAT);
  if (HEAD + packed.length !== bytes.length) throw damaged("its table has the wrong length");
  if (!equalBytes(file.slice(16, 32, WHAT), checksum(head, packed))) throw damaged("its checksum does not match");
  const length = file.u32(12, WHAT);
  if (length > TABLE_LIMIT) throw damaged("its table is too large");
  const table = unpackTo(packed, length);
  if (table === null) throw damaged("its table can't be unpacked");
  const parts = new Parts(new Cursor(table, subject));
  if (latin1(parts.next()) !== keyText(key)) throw damaged("it is for another layer, or another way of reading it");
  const diffId = parseBlobDigest(latin1(parts.next()));
  if (diffId === null) throw damaged("it has no digest of the archive");
  const held = decodeLayer(parts.next(), subject);
  const { length: digestLength } = VERITY_HASHES[key.algorithm];
  for (const { item } of held.entries) {
    if (item.kind !== "regular" || item.content.kind === "inline") continue;
    if (item.content.digest?.length !== digestLength) throw damaged("its digests are of the wrong type");
  }
  const rows = new Cursor(parts.next(), subject);
  const smallSize = parts.u32();
  const sum = smallSize === 0 ? null : parts.bytes(32);
  const small = { start: bytes.length, size: smallSize, unpackedSize: 0, checksum: sum };
  const contents = new Map<number, StoredContent>();
  let last = -1;
  let start = small.start + small.size;
  for (let offset = 0; offset < rows.length; offset += 8) {
    const entry = rows.u32(offset, WHAT);
    const stored = rows.u32(offset + 4, WHAT);
    const item = held.entries[entry]?.item;
    if (entry <= last || item?.kind !== "regular" || item.content.kind !== "external") throw damaged("its contents");
    last = entry;
    const { content } = item;
    const isSmall = content.size <= SMALL_CONTENT;
    if (isSmall !== (stored === 0)) throw damaged("its contents");
    const unpackedSize = Number(content.size);
    if (isSmall) {
      contents.set(entry, { frame: small, offset: small.unpackedSize, content });
      small.unpackedSize += unpackedSize;
    } else {
      contents.set(entry, { frame: { start, size: stored, unpackedSize, checksum: null }, offset: 0, content });
      start += stored;
    }
  }
  if (small.unpackedSize > SMALL_LIMIT || (small.size === 0) !== (small.unpackedSize === 0)) {
    throw damaged("its contents");
  }
  if (!parts.isAtEnd || start !== size) throw damaged("it has the wrong length");
  return { ...held, diffId, contents };
}

/**
 * What is in a frame of contents.
 * @param packed its bytes in the file
 * @returns null when they are damaged, which is known for sure only where there is a checksum
 */
export function unpackContents(packed: Uint8Array, { unpackedSize, checksum: sum }: StoredFrame): Uint8Array | null {
  if (sum !== null && !equalBytes(checksum(packed), sum)) return null;
  return unpackTo(packed, unpackedSize);
}

/**
 * In one go, on this thread: node's other ways go to another one and back for each 16 KiB.
 * @returns null unless the bytes unpack to so many
 */
function unpackTo(packed: Uint8Array, length: number): Uint8Array | null {
  try {
    // With one byte more there is room left at the end, and node does not ask for more.
    const chunkSize = Math.max(length + 1, zlib.constants.Z_MIN_CHUNK);
    const bytes = zlib.zstdDecompressSync(packed, { maxOutputLength: Math.max(length, 1), chunkSize });
    return bytes.length === length ? bytes : null;
  } catch {
    return null;
  }
}

function checksum(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** Parts of a table, each preceded by its length. */
class Parts {
  readonly #table: Cursor;
  #position = 0;

  constructor(table: Cursor) {
    this.#table = table;
  }

  u32(): number {
    this.#position += 4;
    return this.#table.u32(this.#position - 4, WHAT);
  }

  bytes(length: number): Uint8Array {
    this.#position += length;
    return this.#table.slice(this.#position - length, length, WHAT);
  }

  next(): Uint8Array {
    return this.bytes(this.u32());
  }

  get isAtEnd(): boolean {
    return this.#position === this.#table.length;
  }
}
const WHAT = "an entry of the cache";
