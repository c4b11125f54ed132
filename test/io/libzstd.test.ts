import { randomBytes } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import { afterEach, describe, expect, it } from "vitest";
import { readerOf } from "../../src/bytes.ts";
import { StoredBytes } from "../../src/chunks.ts";
import { nativeFrame, useLibzstd } from "../../src/io/libzstd.ts";
import { unpackStream } from "../../src/unpack/unpack.ts";
import { unpackZstdWith } from "../../src/unpack/zlib.ts";
import { packer } from "../support/packers.ts";

afterEach(() => unpackZstdWith(() => null));

/** Several pieces of input and output, some of which can't be made smaller. */
const SAMPLE = Buffer.concat([randomBytes(700_001), Buffer.alloc(3_000_000, "abc"), randomBytes(65_537)]);

async function unpack(packed: Uint8Array, limit = 1 << 26): Promise<{ bytes: Buffer; consumed: number }> {
  const parts: Buffer[] = [];
  const sink = (bytes: Uint8Array) => void parts.push(Buffer.from(bytes));
  const consumed = await unpackStream("zstd", readerOf([packed], "x"), { limit, subject: "x", sink });
  return { bytes: Buffer.concat(parts), consumed };
}

describe("Zstandard by libzstd", () => {
  it("is unpacked to what node unpacks it to, up to the end of the frame", async () => {
    for (const bytes of [SAMPLE, Buffer.alloc(0), Buffer.from("a"), Buffer.alloc(1 << 20)]) {
      const packed = zstdCompressSync(bytes);
      const followed = Buffer.concat([packed, Buffer.from("something else")]);
      const expected = await unpack(followed);
      useLibzstd();
      const found = await unpack(followed);
      unpackZstdWith(() => null);
      expect(found.bytes.equals(bytes)).toBe(true);
      expect(found.consumed).toBe(packed.length);
      expect(expected.bytes.equals(bytes)).toBe(true);
    }
  });

  it("is unpacked from what is not in memory", async () => {
    const packed = zstdCompressSync(SAMPLE);
    const stored = new StoredBytes(
      (into, offset) => into.set(packed.subarray(offset, offset + into.length)),
      packed.length,
    );
    useLibzstd();
    const parts: Buffer[] = [];
    const sink = (bytes: Uint8Array) => void parts.push(Buffer.from(bytes));
    await unpackStream("zstd", readerOf(stored, "x"), { limit: 1 << 26, subject: "x", sink });
    expect(Buffer.concat(parts).equals(SAMPLE)).toBe(true);
  });

  it("is refused in the same words when it is damaged, cut off or too large", async () => {
    const packed = zstdCompressSync(SAMPLE);
    const cases: Uint8Array[] = [packed.subarray(0, -1), packed.subarray(0, 20)];
    const pack = packer("zstd", "-qc", "--check");
    if (pack !== null) {
      const checked = pack(SAMPLE);
      checked[checked.length - 1] = (checked.at(-1) ?? 0) ^ 1;
      cases.push(checked);
    }
    const reasons = async () => Promise.all(cases.map((bytes) => unpack(bytes).then(String, String)));
    const expected = await reasons();
    useLibzstd();
    expect(await reasons()).toEqual(expected);
    for (const reason of expected) expect(reason).toMatch(/damaged|truncated/);
    await expect(unpack(packed, 1 << 20)).rejects.toThrow("unpacks to more than 1 MiB");
  });

  it("is left to node where it does not have the functions", () => {
    const missing = (prototype: string) => {
      throw new Error(`Cannot find function '${prototype}' in shared library`);
    };
    expect(nativeFrame(missing)).toBeNull();
    expect(nativeFrame()).not.toBeNull();
  });
});
