/** gzip layers as streams: what comes out, which errors, and that memory outlasts the threads that use it. */
import { randomBytes } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { gunzipSync, gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { decompressed } from "../../../src/io/oci/decompress.ts";

const SAMPLE = Buffer.concat([randomBytes(2_500_001), Buffer.alloc(3_000_000, "abc"), randomBytes(1_048_576)]);
const PACKED = gzipSync(SAMPLE);

/** Pieces as a file gives them: one's memory is used again for the one after the next. */
async function* pieces(packed: Uint8Array, size: number, seen: string[] = []): AsyncGenerator<Uint8Array> {
  const buffers = [0, 1].map(() => Buffer.alloc(size));
  try {
    for (let at = 0, turn = 0; at < packed.length; at += size, turn ^= 1) {
      await setTimeout(0);
      const buffer = buffers[turn] as Buffer;
      buffer.fill(0xff);
      buffer.set(packed.subarray(at, at + size));
      yield buffer.subarray(0, packed.length - at);
    }
    seen.push("all read");
  } finally {
    seen.push("closed");
  }
}

async function unpacked(source: AsyncIterable<Uint8Array>, beside?: () => boolean, isSmall?: boolean): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const piece of decompressed(source, "gzip", "layer", { beside, isSmall })) {
    await setTimeout(0);
    parts.push(Uint8Array.from(piece));
  }
  return Buffer.concat(parts);
}

describe("a gzip layer", () => {
  it.each([1 << 20, 100_003, 1 << 16])(
    "comes out right from pieces of %d bytes whose memory is reused",
    async (size) => {
      const members = Buffer.concat([PACKED, gzipSync(""), gzipSync("end")]);
      const expected = gunzipSync(members);
      let count = 0;
      // On other threads, on this one, and on one or the other as they are free.
      for (const beside of [undefined, () => false, () => count++ % 7 < 3]) {
        expect((await unpacked(pieces(members, size), beside)).equals(expected)).toBe(true);
      }
      expect((await unpacked(pieces(members, size), undefined, true)).equals(expected)).toBe(true);
    },
  );

  it("is not unpacked ahead where all cores are busy", async () => {
    let given = 0;
    const source = async function* () {
      for (let at = 0; at < PACKED.length; at += 1 << 16) {
        given++;
        yield PACKED.subarray(at, at + (1 << 16));
      }
    };
    for await (const piece of decompressed(source(), "gzip", "layer", { beside: () => false })) {
      expect(piece.length).toBeLessThan(1 << 16);
      break;
    }
    expect(given).toBeLessThan(4);
  });

  it("of members as small as files comes out right, and is refused where one is damaged", async () => {
    const members = Array.from({ length: 400 }, (_, at) => gzipSync(SAMPLE.subarray(at * 9000, (at + 1) * 9000)));
    const packed = Buffer.concat([gzipSync(""), ...members]);
    const expected = gunzipSync(packed);
    for (const size of [1 << 20, 100_003, 4096]) {
      const seen: string[] = [];
      const padded = Buffer.concat([packed, Buffer.alloc(200_000)]);
      expect((await unpacked(pieces(padded, size, seen))).equals(expected)).toBe(true);
      expect(seen).toEqual(["all read", "closed"]);
      for (const damaged of [packed.subarray(0, -1), Buffer.from(packed).fill(0xff, 1_000_000, 1_000_064)]) {
        await expect(unpacked(pieces(damaged, size))).rejects.toThrow(/^layer: can't be unpacked: /);
      }
      for await (const piece of decompressed(pieces(packed, size), "gzip", "layer")) if (piece.length > 9000) break;
    }
  });

  it("comes out right beside others", async () => {
    const all = Array.from({ length: 6 }, (_, at) => SAMPLE.subarray(at * 1000));
    const found = await Promise.all(all.map((bytes) => unpacked(pieces(gzipSync(bytes, { level: 1 }), 1 << 17))));
    for (const [at, bytes] of found.entries()) expect(bytes.equals(all[at] ?? SAMPLE)).toBe(true);
  });

  it("is read to its end, though it is padded", async () => {
    const seen: string[] = [];
    const padded = Buffer.concat([PACKED, Buffer.alloc(300_000)]);
    expect((await unpacked(pieces(padded, 1 << 16, seen))).equals(SAMPLE)).toBe(true);
    expect(seen).toEqual(["all read", "closed"]);
  });

  it.each([
    ["cut off", PACKED.subarray(0, -9), /^layer: can't be unpacked: unexpected end of file$/],
    ["damaged", Buffer.from(PACKED).fill(0xff, 2_600_000), /^layer: can't be unpacked: /],
    ["followed by something else", Buffer.concat([PACKED, Buffer.from("x")]), /^layer: can't be unpacked: /],
    [
      "followed by nothing but half a member",
      Buffer.concat([PACKED, PACKED.subarray(0, 99)]),
      /unexpected end of file$/,
    ],
  ])("that is %s is refused, and closed", async (_, packed, message) => {
    const seen: string[] = [];
    for (const beside of [undefined, () => false]) {
      await expect(unpacked(pieces(packed, 1 << 16, seen), beside)).rejects.toThrow(message);
      expect(seen.splice(0).at(-1)).toBe("closed");
    }
  });

  it("that can't be read fails as the reading does", async () => {
    const failing = async function* () {
      yield PACKED.subarray(0, 1 << 20);
      throw Object.assign(new Error("EIO: i/o error, read"), { code: "EIO", syscall: "read" });
    };
    await expect(unpacked(failing())).rejects.toThrow(/^EIO: i\/o error, read$/);
  });

  it("that is given up leaves memory alone that others use next", async () => {
    const expected = gunzipSync(PACKED);
    for (let wanted = 1; wanted < 5; wanted++) {
      const seen: string[] = [];
      let count = 0;
      for await (const piece of decompressed(pieces(PACKED, 1 << 16, seen), "gzip", "layer")) {
        expect(piece.length).toBeGreaterThan(0);
        if (++count === wanted) break;
      }
      expect(seen).toEqual(["closed"]);
      // These get the memory of the one before.
      const found = await Promise.all([0, 1].map(() => unpacked(pieces(PACKED, 1 << 18))));
      for (const bytes of found) expect(bytes.equals(expected)).toBe(true);
    }
  });
});
