/** The file of a layer in the cache: what was put in comes out, and nothing else is taken for it. */
import { createHash } from "node:crypto";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../../src/bytes.ts";
import { concat } from "../../../src/chunks.ts";
import { verityDigest } from "../../../src/composefs/verity.ts";
import { SealError } from "../../../src/errors.ts";
import {
  type CachedLayer,
  type CacheKey,
  decodeCacheEntry,
  encodeCacheEntry,
  packedTableSize,
  READER_VERSION,
  unpackContents,
} from "../../../src/io/oci/cache-entry.ts";
import type { LayerEntry } from "../../../src/tree/build.ts";
import { encodeLayer } from "../../../src/tree/layer-codec.ts";
import type { LayerContents } from "../../../src/tree/layer-contents.ts";

const digest = (character: string) => ({ algorithm: "sha256", hex: character.repeat(64) }) as const;
const KEY: CacheKey = {
  digest: digest("a"),
  mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
  algorithm: "sha512",
  paxOwners: "count",
};
const DIFF_ID = digest("b");
const metadata = { mode: 0o644, uid: 0, gid: 0, mtimeSec: 7n, mtimeNsec: 0, xattrs: [] };
const file = (path: string, bytes: Uint8Array): LayerEntry => ({
  path: utf8(path),
  metadata,
  headersDiffer: false,
  item: {
    kind: "regular",
    content: {
      kind: "external",
      size: BigInt(bytes.length),
      digest: verityDigest(bytes, "sha512"),
      payload: "digest",
    },
  },
});
const SMALL = Buffer.alloc(100, "small");
const OTHER = Buffer.alloc(80);
/** Does not pack. */
const LARGE = Buffer.concat(
  Array.from({ length: 2100 }, (_, index) => createHash("sha256").update(String(index)).digest()),
);
const HELD: LayerContents = {
  compression: "gzip",
  isOnePart: true,
  entries: [
    { path: utf8("etc"), metadata, item: { kind: "directory" }, headersDiffer: true },
    file("etc/small", SMALL),
    file("etc/other", OTHER),
    file("usr/lib/modules/6/vmlinuz", LARGE),
  ],
  contents: new Map([
    [3, LARGE],
    [1, SMALL],
    [2, OTHER],
  ]),
};

function tableEnd(bytes: Uint8Array): number {
  return 48 + packedTableSize(bytes, "x");
}

function decode(bytes: Uint8Array, key = KEY): CachedLayer {
  return decodeCacheEntry(bytes.subarray(0, tableEnd(bytes)), bytes.length, key, "x");
}

/** Whether it was refused as damaged input is. */
function refused(bytes: Uint8Array, key = KEY): boolean {
  try {
    decode(bytes, key);
    return false;
  } catch (error) {
    if (error instanceof SealError && error.code === "input") return true;
    throw error;
  }
}

/** With another table, and a checksum that fits it: what somebody would write who means harm. */
function withTable(bytes: Uint8Array, change: (table: Buffer) => Uint8Array): Uint8Array {
  const table = Buffer.from(change(zstdDecompressSync(bytes.subarray(48, tableEnd(bytes)))));
  const packed = zstdCompressSync(table);
  const head = Buffer.from(bytes.subarray(0, 16));
  head.writeUInt32LE(packed.length, 8);
  head.writeUInt32LE(table.length, 12);
  const checksum = createHash("sha256").update(head).update(packed).digest();
  return Buffer.concat([head, checksum, packed, bytes.subarray(tableEnd(bytes))]);
}

describe("an entry of the cache", () => {
  it("holds the layer, its diff ID and the contents that were given", async () => {
    const bytes = await encodeCacheEntry(KEY, DIFF_ID, HELD);
    const { contents, diffId, ...held } = decode(bytes);
    expect(encodeLayer(held)).toEqual(encodeLayer(HELD));
    expect(diffId).toEqual(DIFF_ID);
    const found = [...contents].map(([entry, { frame, offset, content }]) => {
      const unpacked = unpackContents(bytes.subarray(frame.start, frame.start + frame.size), frame);
      return [entry, unpacked?.subarray(offset, offset + Number(content.size))];
    });
    expect(found).toEqual([
      [1, SMALL],
      [2, OTHER],
      [3, LARGE],
    ]);
  });

  it("has all small contents in one frame, which unpacks to their size only", async () => {
    const bytes = await encodeCacheEntry(KEY, DIFF_ID, HELD);
    const { contents } = decode(bytes);
    const [small, other, large] = [1, 2, 3].map((entry) => contents.get(entry)?.frame);
    expect([other, small?.start]).toEqual([small, tableEnd(bytes)]);
    expect(large?.start).toBe(tableEnd(bytes) + (small?.size ?? 0));
    for (const frame of [small, large]) {
      if (frame === undefined) throw new Error("nothing is stored");
      const packed = bytes.subarray(frame.start, frame.start + frame.size);
      expect(unpackContents(packed, frame)).toHaveLength(frame.unpackedSize);
      expect(unpackContents(packed, { ...frame, unpackedSize: 5 })).toBeNull();
      expect(unpackContents(packed, { ...frame, unpackedSize: frame.unpackedSize + 1 })).toBeNull();
      expect(unpackContents(packed.subarray(1), frame)).toBeNull();
    }
    const none = await encodeCacheEntry(KEY, DIFF_ID, { ...HELD, contents: new Map() });
    expect([decode(none).contents.size, tableEnd(none)]).toEqual([0, none.length]);
  });

  it("has small contents with any byte changed as damaged", async () => {
    const bytes = await encodeCacheEntry(KEY, DIFF_ID, HELD);
    const frame = decode(bytes).contents.get(1)?.frame;
    if (frame === undefined) throw new Error("nothing is stored");
    const packed = bytes.subarray(frame.start, frame.start + frame.size);
    for (const [at, byte] of packed.entries()) expect(unpackContents(packed.with(at, byte ^ 1), frame)).toBeNull();
    expect(unpackContents(packed, { ...frame, checksum: new Uint8Array(32) })).toBeNull();
  });

  it("is for one layer, media type, reading and hash only", async () => {
    const bytes = await encodeCacheEntry(KEY, DIFF_ID, HELD);
    expect(refused(bytes, { ...KEY, digest: digest("c") })).toBe(true);
    expect(refused(bytes, { ...KEY, digest: { algorithm: "sha512", hex: "a".repeat(128) } })).toBe(true);
    expect(refused(bytes, { ...KEY, mediaType: null })).toBe(true);
    expect(refused(bytes, { ...KEY, paxOwners: "ignored" })).toBe(true);
    expect(refused(bytes, { ...KEY, algorithm: "sha256" })).toBe(true);
    expect(refused(bytes)).toBe(false);
  });

  it("is refused with any byte of its head or table changed, and cut off or longer at any place", async () => {
    const bytes = Buffer.from(await encodeCacheEntry(KEY, DIFF_ID, { ...HELD, contents: new Map() }));
    expect(tableEnd(bytes)).toBe(bytes.length);
    for (const [place, byte] of bytes.entries()) {
      for (const change of [1, 0x80]) {
        bytes[place] = byte ^ change;
        // Another length of the table is one of the file.
        if (place < 8 || place > 11) expect([place, refused(bytes)]).toEqual([place, true]);
        else expect(() => tableEnd(bytes) === bytes.length).not.toThrow();
      }
      bytes[place] = byte;
    }
    for (let end = 12; end < bytes.length; end++) expect([end, refused(bytes.subarray(0, end))]).toEqual([end, true]);
    expect(refused(concat([bytes, SMALL]))).toBe(true);
    for (let end = 0; end < 12; end++) expect(() => packedTableSize(bytes.subarray(0, end), "x")).toThrow(SealError);
  });

  it("is refused where its table says what can't be, whatever its checksum says", async () => {
    const bytes = await encodeCacheEntry(KEY, DIFF_ID, HELD);
    expect(refused(withTable(bytes, (table) => table))).toBe(false);
    // Before the checksum of small contents.
    const smallSize = (table: Buffer) => table.length - 32 - 4;
    const rows = (table: Buffer) => smallSize(table) - 3 * 8;
    const changes: [string, (table: Buffer) => Uint8Array][] = [
      ["a byte more", (table) => concat([table, utf8("x")])],
      ["a byte less", (table) => table.subarray(0, -1)],
      ["the reader of another version", (table) => table.fill(`reader ${READER_VERSION + 1}`, 4, 12)],
      [
        "a diff ID in capitals",
        (table) => table.fill("B", table.indexOf("sha256:b") + 7, table.indexOf("sha256:b") + 8),
      ],
      ["a content of a directory", (table) => table.fill(0, rows(table), rows(table) + 1)],
      ["a content of no entry", (table) => table.fill(200, rows(table), rows(table) + 1)],
      ["contents out of order", (table) => table.fill(3, rows(table), rows(table) + 1)],
      ["a small content with a frame of its own", (table) => table.fill(1, rows(table) + 4, rows(table) + 5)],
      ["a large content that has no place", (table) => table.fill(0, rows(table) + 20, rows(table) + 24)],
      ["a large content that is longer than the file", (table) => table.fill(255, rows(table) + 20, rows(table) + 22)],
      ["small contents that have no place", (table) => table.fill(0, smallSize(table), smallSize(table) + 4)],
      [
        "small contents that are longer than the file",
        (table) => table.fill(255, smallSize(table), smallSize(table) + 2),
      ],
    ];
    for (const [name, change] of changes) expect([name, refused(withTable(bytes, change))]).toEqual([name, true]);
    const short: LayerContents = { ...HELD, entries: [file("a", SMALL)], contents: new Map() };
    const [only] = short.entries;
    if (only?.item.kind !== "regular" || only.item.content.kind !== "external") throw new Error("no file");
    const none = {
      ...only,
      item: { kind: "regular", content: { ...only.item.content, digest: null, payload: null } },
    } as const;
    expect(refused(await encodeCacheEntry(KEY, DIFF_ID, { ...short, entries: [none] }))).toBe(true);
  });
});
