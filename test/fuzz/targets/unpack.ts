/** Decompressors, and the archives in an initramfs. */
import { gzipSync } from "node:zlib";
import { expect } from "vitest";
import { CpioReader } from "../../../src/boot/cpio.ts";
import { readInitramfs } from "../../../src/boot/initramfs.ts";
import { Cursor, latin1, readerOf, toHex } from "../../../src/bytes.ts";
import { StoredBytes } from "../../../src/chunks.ts";
import { unpackBzip2 } from "../../../src/unpack/bzip2.ts";
import { unpackLz4, unpackLz4Frame } from "../../../src/unpack/lz4.ts";
import { Output, type Unpack } from "../../../src/unpack/output.ts";
import { type StreamKind, streamKind, unpackStream } from "../../../src/unpack/unpack.ts";
import { unpackLzma, unpackXz } from "../../../src/unpack/xz.ts";
import { cpioOf } from "../../support/cpio.ts";
import { vector } from "../../support/vectors.ts";
import type { FuzzTarget } from "../target.ts";

/** What one input may unpack to. */
const LIMIT = 4 << 20;
/** Decompressors with matches that reach back. */
const WINDOWED: readonly { readonly kind: StreamKind; readonly unpack: Unpack }[] = [
  { kind: "lz4", unpack: unpackLz4 },
  { kind: "xz", unpack: unpackXz },
  { kind: "lzma", unpack: unpackLzma },
  { kind: "bzip2", unpack: unpackBzip2 },
];

function archive(): Buffer {
  return cpioOf({
    "etc/initrd-release": "ID=x\n",
    "usr/lib": null,
    "usr/lib/systemd/system/x.service": "[Service]\nExecStart=/x\n",
    "usr/lib/modules/6.1/modules.dep": "a.ko: b.ko\n",
  });
}

/** A file that is read when it is asked for. */
function stored(bytes: Uint8Array): StoredBytes {
  const read = (into: Uint8Array, offset: number) => into.set(bytes.subarray(offset, offset + into.length));
  return new StoredBytes(read, bytes.length);
}

/** What a decompressor gives to its reader, of a file that is not in memory. */
async function unpacked(kind: StreamKind, bytes: Uint8Array): Promise<Buffer> {
  const parts: Buffer[] = [];
  const sink = (part: Uint8Array) => void parts.push(Buffer.from(part));
  const consumed = await unpackStream(kind, readerOf(stored(bytes), "x"), { limit: LIMIT, subject: "x", sink });
  expect(consumed).toBeLessThanOrEqual(bytes.length);
  return Buffer.concat(parts);
}

/** The same with all of it in memory. */
function unpackedWhole(unpack: Unpack, bytes: Uint8Array): Uint8Array {
  const output = new Output(LIMIT, "x");
  expect(unpack(new Cursor(bytes, "x"), output)).toBeLessThanOrEqual(bytes.length);
  const whole = output.finish();
  expect(whole.length).toBeLessThanOrEqual(LIMIT);
  return whole;
}

export const unpackTargets: readonly FuzzTarget[] = [
  ...(["gzip", "zstd"] as const).map(
    (kind): FuzzTarget => ({
      name: kind,
      seeds: () => [],
      read: async (bytes) => {
        if (streamKind(bytes) !== kind) return;
        expect((await unpacked(kind, bytes)).length).toBeLessThanOrEqual(LIMIT);
      },
    }),
  ),
  ...WINDOWED.map(
    ({ kind, unpack }): FuzzTarget => ({
      name: kind,
      seeds: () => [],
      read: async (bytes) => {
        if (streamKind(bytes) !== kind) return;
        // What is read through a window, and from a file, is what all of it in memory would be.
        expect(Buffer.compare(await unpacked(kind, bytes), unpackedWhole(unpack, bytes))).toBe(0);
      },
    }),
  ),
  {
    name: "lz4-frame",
    seeds: () => [],
    read: (bytes) => {
      unpackedWhole(unpackLz4Frame, bytes);
    },
  },
  {
    name: "cpio",
    seeds: () => [archive(), vector("uki/inputs/initrd-1"), vector("uki/inputs/initrd-2")],
    tokens: ["070701", "070702", "TRAILER!!!", "00000001", "ffffffff", "../"],
    read: (bytes) => {
      const read = (step: number) => {
        const found: string[] = [];
        const reader = new CpioReader("x", {
          wants: () => true,
          entry: ({ name, mode, inode, links, size }, content) => {
            found.push([latin1(name), mode, inode, links, size, toHex(content ?? new Uint8Array())].join());
            expect(content?.length).toBe(size);
          },
        });
        for (let at = 0; at < bytes.length && !reader.ended; at += step) reader.write(bytes.subarray(at, at + step));
        if (!reader.ended) reader.finish();
        return found;
      };
      const found = read(bytes.length);
      // However it comes in pieces.
      for (const step of [1, 7, 111]) expect(read(step)).toEqual(found);
    },
  },
  {
    name: "initramfs",
    seeds: () => [Buffer.concat([archive(), Buffer.alloc(512), gzipSync(archive())])],
    tokens: ["070701", "TRAILER!!!", "\x1f\x8b\x08", "\x28\xb5\x2f\xfd", "\xfd7zXZ\0", "\0\0\0\0"],
    read: async (bytes) => {
      const read = await readInitramfs(stored(bytes), "x");
      expect(read).toEqual(await readInitramfs([bytes], "x"));
      const { archives, files } = read;
      if (archives.length === 0) expect(files.size).toBe(0);
    },
  },
];
