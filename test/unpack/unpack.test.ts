import { createCipheriv } from "node:crypto";
import { readFileSync } from "node:fs";
import { crc32, gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Cursor, readerOf } from "../../src/bytes.ts";
import { StoredBytes } from "../../src/chunks.ts";
import { SealError } from "../../src/errors.ts";
import { type StreamKind, streamKind, unpackStream } from "../../src/unpack/unpack.ts";
import { packer } from "../support/packers.ts";

const LIMIT = 1 << 26;
/** Something with repetitions near and far, text and noise. */
const SAMPLE = Buffer.concat([
  readFileSync(process.execPath).subarray(0, 300_000),
  Buffer.alloc(70_000, "abc"),
  Buffer.from(Array.from({ length: 5000 }, (_, index) => `${index} ${index ** 2} lines of text\n`).join("")),
  Buffer.alloc(3000),
]);

interface Packer {
  readonly title: string;
  readonly kind: StreamKind;
  /** Null: the program is not on this machine. */
  readonly pack: ((bytes: Uint8Array) => Buffer) | null;
  /** Whether the stream has a checksum of what it unpacks to. */
  readonly isChecked: boolean;
}

/** What damaged streams may unpack to. */
const DAMAGE_LIMIT = 1 << 22;
/** What messages call a stream. */
const NAMES: Readonly<Partial<Record<StreamKind, RegExp>>> = {
  gzip: /its gzip data is damaged/,
  zstd: /its zstd data is damaged/,
  lz4: /its lz4 data is damaged|LZ4 block/,
  xz: /LZMA|xz/,
  lzma: /LZMA/,
  bzip2: /bzip2/,
};

const xz = (...args: string[]) => packer("xz", "-c", "--check=crc32", ...args);
const PACKERS: readonly Packer[] = [
  { title: "gzip", kind: "gzip", pack: (bytes) => gzipSync(bytes), isChecked: true },
  { title: "gzip with a name", kind: "gzip", pack: (bytes) => named(gzipSync(bytes)), isChecked: true },
  { title: "zstd", kind: "zstd", pack: (bytes) => zstdCompressSync(bytes), isChecked: false },
  { title: "zstd with a checksum", kind: "zstd", pack: packer("zstd", "-qc", "--check"), isChecked: true },
  { title: "lz4 -l", kind: "lz4", pack: packer("lz4", "-lqc"), isChecked: false },
  { title: "lz4 -l9", kind: "lz4", pack: packer("lz4", "-lqc9"), isChecked: false },
  { title: "xz", kind: "xz", pack: xz(), isChecked: true },
  { title: "xz without a check", kind: "xz", pack: packer("xz", "-c", "--check=none", "-1"), isChecked: false },
  { title: "xz in blocks", kind: "xz", pack: xz("--block-size=65536", "-T2"), isChecked: true },
  { title: "xz with other contexts", kind: "xz", pack: xz("--lzma2=preset=6,lc=1,lp=2,pb=0"), isChecked: true },
  { title: "xz with a small dictionary", kind: "xz", pack: xz("--lzma2=preset=0,dict=4KiB"), isChecked: true },
  { title: "bzip2", kind: "bzip2", pack: packer("bzip2", "-c"), isChecked: true },
  { title: "bzip2 in small blocks", kind: "bzip2", pack: packer("bzip2", "-1c"), isChecked: true },
  { title: "lzma", kind: "lzma", pack: packer("xz", "-c", "--format=lzma"), isChecked: false },
];

/** With the name of a file in the header. */
function named(bytes: Buffer): Buffer {
  const header = Buffer.from(bytes.subarray(0, 10));
  header[3] = 8;
  return Buffer.concat([header, Buffer.from("initrd\0"), bytes.subarray(10)]);
}

/** All that is unpacked, copied when it comes. */
async function collect(kind: StreamKind, bytes: Uint8Array, limit = LIMIT) {
  const parts: Uint8Array[] = [];
  const sink = (part: Uint8Array) => void parts.push(Uint8Array.from(part));
  const consumed = await unpackStream(kind, new Cursor(bytes, "x"), { limit, subject: "x", sink });
  return { bytes: Buffer.concat(parts), consumed };
}

/** Where the result is an error of seal, its message. */
async function unpacked(bytes: Uint8Array, limit = LIMIT): Promise<Buffer | string> {
  const kind = streamKind(bytes);
  if (kind === null) return "no stream";
  try {
    return (await collect(kind, bytes, limit)).bytes;
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    expect(error.message).toMatch(/^x: [^\n]+$/);
    return error.message;
  }
}

/** What no program packs. */
const NOISE = createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(1_500_000));
/** Blocks of LZ4 are read as a whole. */
const LARGEST_READ: Readonly<Partial<Record<StreamKind, number>>> = { lz4: 9 << 20 };

describe("unpackStream", () => {
  describe.each(PACKERS)("$title", ({ kind, pack, isChecked }) => {
    const packed = pack === null ? Buffer.alloc(0) : pack(SAMPLE);

    it.skipIf(pack === null)("reads a stream that is not in memory in pieces, and at most twice", async () => {
      const file = Buffer.concat([Buffer.from("before"), pack?.(NOISE) ?? NOISE, Buffer.from("behind")]);
      const reads: number[] = [];
      const read = (into: Uint8Array, offset: number) => {
        reads.push(into.length);
        file.copy(into, 0, offset, offset + into.length);
      };
      const stored = new StoredBytes(read, file.length).slice(6, file.length);
      const parts: Uint8Array[] = [];
      const sink = (part: Uint8Array) => void parts.push(Uint8Array.from(part));
      // Frames of LZ4 end with their input.
      const input = readerOf(kind === "lz4" ? stored.slice(0, stored.size - 6) : stored, "x");
      expect(await unpackStream(kind, input, { limit: LIMIT, subject: "x", sink })).toBe(file.length - 12);
      expect(Buffer.compare(Buffer.concat(parts), NOISE)).toBe(0);
      expect(Math.max(...reads)).toBeLessThanOrEqual(LARGEST_READ[kind] ?? 1 << 18);
      expect(reads.reduce((sum, length) => sum + length, 0)).toBeLessThan(2.2 * file.length);
    });

    it.skipIf(pack === null)("gives back what was packed, and tells where it ends", async () => {
      expect(streamKind(packed)).toBe(kind);
      const tail = Buffer.from("\0\0\0\0the next one");
      const { bytes, consumed } = await collect(kind, Buffer.concat([packed, tail]));
      expect(Buffer.compare(bytes, SAMPLE)).toBe(0);
      // Frames of LZ4 end with their input, or with a size of zero.
      expect(consumed - packed.length).toBe(kind === "lz4" ? 4 : 0);
    });

    it.skipIf(pack === null)("unpacks nothing, one byte, and more than its limit not", async () => {
      for (const bytes of [Buffer.alloc(0), Buffer.from("x")])
        expect(await unpacked(pack?.(bytes) ?? bytes)).toEqual(bytes);
      const bomb = pack?.(Buffer.alloc(5 << 20)) ?? packed;
      expect(bomb.length).toBeLessThan(50_000);
      expect(await unpacked(bomb, 4 << 20)).toMatch(/unpacks to more than 4 MiB/);
    });

    it.skipIf(pack === null)("unpacks what is much longer than its window", async () => {
      const large = Buffer.concat(Array.from({ length: 12 }, (_, index) => [Buffer.from(`${index}`), SAMPLE]).flat());
      expect(Buffer.compare((await collect(kind, pack?.(large) ?? packed)).bytes, large)).toBe(0);
    });

    it.skipIf(pack === null)("refuses what was cut off", async () => {
      const bytes = Buffer.alloc(20_000, "some text ");
      const whole = pack?.(bytes) ?? packed;
      for (let end = 6; end < whole.length; end += 1 + Math.floor(whole.length / 200)) {
        const result = await unpacked(whole.subarray(0, end));
        if (kind !== "lz4") expect(result).toMatch(/truncated|damaged/);
        // A frame may end behind any block.
        else if (typeof result !== "string") expect(result.length).toBeLessThan(bytes.length);
      }
    });

    it.skipIf(pack === null)("refuses what is damaged, or gives back what was packed", async () => {
      const sample = SAMPLE.subarray(295_000, 320_000);
      const whole = pack?.(sample) ?? packed;
      const change = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
      let refused = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 5 }), async (changes) => {
          const bytes = Buffer.from(whole);
          for (const [at, value] of changes) bytes[at] = value;
          const result = await unpacked(bytes, DAMAGE_LIMIT);
          if (typeof result === "string") refused++;
          // A frame of Zstandard says in its header whether it has a checksum.
          else if (isChecked && streamKind(bytes) === kind && (kind !== "zstd" || ((bytes[4] ?? 0) & 4) !== 0)) {
            expect(Buffer.compare(result, sample)).toBe(0);
          } else expect(result.length).toBeLessThanOrEqual(DAMAGE_LIMIT);
        }),
        { numRuns: 60 },
      );
      if (isChecked) expect(refused).toBeGreaterThan(0);
    });

    it.skipIf(pack === null)("is called by its name where it is damaged", async () => {
      const bytes = pack?.(SAMPLE.subarray(295_000, 320_000)) ?? packed;
      const middle = bytes.length >> 1;
      bytes.fill(0xff, middle, middle + 64);
      const result = await unpacked(bytes, DAMAGE_LIMIT);
      if (isChecked || typeof result === "string") expect(result).toMatch(NAMES[kind] ?? /^$/);
    });
  });

  it.skipIf(xz() === null)("refuses matches that reach back farther than the dictionary, as Linux does", async () => {
    const noise = Buffer.from(Array.from({ length: 100_000 }, (_, index) => (index * index * 7919) >>> 11));
    const bytes = xz("--lzma2=preset=6,dict=1MiB")?.(Buffer.concat([noise, Buffer.alloc(3 << 20), noise])) ?? noise;
    const far = xz("--lzma2=preset=6,dict=8MiB")?.(Buffer.concat([noise, Buffer.alloc(3 << 20), noise])) ?? noise;
    expect(await unpacked(bytes)).toBeInstanceOf(Buffer);
    // The size of the dictionary stands in the header of the block: here behind its size, flags, and
    // the filter's number.
    const at = 12 + 4;
    expect(far[at - 2]).toBe(0x21);
    const smaller = Buffer.from(far);
    smaller[at] = bytes[at] ?? 0;
    const headerEnd = 12 + ((far[12] ?? 0) + 1) * 4 - 4;
    smaller.writeUInt32LE(crc32(smaller.subarray(12, headerEnd)), headerEnd);
    expect(await unpacked(smaller)).toMatch(/LZMA data is damaged/);
  });

  it.skipIf(xz() === null)("unpacks xz of anything", async () => {
    const pack = xz("-0") as NonNullable<Packer["pack"]>;
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 5 }), fc.nat(400)).map(([part, times]) => {
        return new Uint8Array(Buffer.concat(Array.from({ length: times }, () => part)));
      }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 8 }), async (pieces) => {
        const bytes = Buffer.concat(pieces);
        expect(await unpacked(pack(bytes))).toEqual(bytes);
      }),
      { numRuns: 40 },
    );
  });

  it.skipIf(xz() === null)("refuses of xz what Linux can't unpack", async () => {
    const other = (...args: string[]) => packer("xz", "-c", ...args)?.(SAMPLE) ?? Buffer.alloc(0);
    expect(await unpacked(other())).toMatch(/check CRC64; CRC32 is taken only, as by Linux/);
    expect(await unpacked(other("--check=sha256"))).toMatch(/SHA-256/);
    expect(await unpacked(other("--check=crc32", "--x86", "--lzma2"))).toMatch(/filters beside LZMA2/);
  });

  it("compares the CRC32 of an xz block, whatever else fits", async () => {
    // xz --check=crc32 -0 of 39 bytes of text.
    const packed = Buffer.from(
      "fd377a585a0000016922de36020021010c0000008f98419ce0002600115d00399bc9f2e750b8c5e25cb582e8cdb90000000000004a087b7300012927ab9fcac19042990d010000000001595a",
      "hex",
    );
    expect(String(await unpacked(packed))).toBe("some text some text some text some text");
    // The footer tells how long the index is (Backward Size), and the check of the only block is in front of it.
    const check = packed.length - 12 - 4 * (packed.readUInt32LE(packed.length - 8) + 1) - 4;
    for (let at = check; at < check + 4; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const other = Buffer.from(packed);
        other[at] = (other[at] ?? 0) ^ (1 << bit);
        expect(await unpacked(other)).toBe("x: its LZMA data is damaged or truncated");
      }
    }
  });

  it("compares the CRC of all bzip2 blocks together", async () => {
    // bzip2 of the same text.
    const packed = Buffer.from(
      "425a6839314159265359763cb20f00000b9180400002028c402000310c00548989b2cf1661a5ece94571f177245385090763cb20f0",
      "hex",
    );
    expect(String(await unpacked(packed))).toBe("some text some text some text some text");
    // The last 32 bits, then up to seven of padding: three whole bytes of it stand before the last.
    for (const fromEnd of [4, 3, 2]) {
      const other = Buffer.from(packed);
      other[packed.length - fromEnd] = (other[packed.length - fromEnd] ?? 0) ^ 1;
      expect(await unpacked(other)).toBe("x: its bzip2 data is damaged or truncated");
    }
  });

  it("knows what Linux knows, and what seal can't unpack", async () => {
    expect(streamKind(Buffer.from("070701"))).toBeNull();
    expect(streamKind(Buffer.from([4, 0x22, 0x4d, 0x18]))).toBeNull();
    expect(await unpacked(Buffer.from("894c5a4f000d0a1a0a", "hex"))).toBe("x: seal can't unpack lzo");
  });
});
