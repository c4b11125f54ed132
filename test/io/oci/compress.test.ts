import { setImmediate as turn } from "node:timers/promises";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { type CompressionChoice, compressed } from "../../../src/io/oci/compress.ts";

/** Two of zstd's blocks. */
const ARCHIVE = Buffer.from("an archive, ".repeat(21_846)).subarray(0, 256 << 10);

async function pack(chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>, choice: CompressionChoice) {
  const pieces: Uint8Array[] = [];
  for await (const piece of compressed(chunks, choice)) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** As a source gives it that has to wait before each chunk, or before it knows that it has ended. */
async function* slow(chunks: readonly Uint8Array[], turns: number): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) {
    for (let count = 0; count < turns; count++) await turn();
    yield chunk;
  }
  for (let count = 0; count < turns; count++) await turn();
}

describe.each(["gzip", "zstd"] as const)("%s", (kind) => {
  const choice = { kind, level: null };
  const unpack = kind === "gzip" ? gunzipSync : zstdDecompressSync;

  it.each([
    ["one chunk", [ARCHIVE]],
    ["whole blocks", [ARCHIVE.subarray(0, 128 << 10), ARCHIVE.subarray(128 << 10)]],
    ["odd pieces", [ARCHIVE.subarray(0, 1), ARCHIVE.subarray(1, 70_000), ARCHIVE.subarray(70_000, 100_001)]],
    ["nothing", []],
  ])("packs %s to the same bytes, however fast they come", async (_, chunks) => {
    const packed = await pack(chunks, choice);
    if (chunks.length > 0) expect(unpack(packed).equals(Buffer.concat(chunks))).toBe(true);
    for (const turns of [0, 1, 20]) expect((await pack(slow(chunks, turns), choice)).equals(packed)).toBe(true);
    // And in whatever pieces.
    const halves = chunks.flatMap((chunk) => [chunk.subarray(0, 1000), chunk.subarray(1000)]);
    expect((await pack(halves, choice)).equals(packed)).toBe(true);
  });

  it("ends with the error of its source, and when nobody reads on", async () => {
    const failing = (function* () {
      yield ARCHIVE;
      throw new Error("the disk is gone");
    })();
    await expect(pack(failing, choice)).rejects.toThrow("the disk is gone");
    let ended = false;
    const endless = (function* () {
      try {
        for (;;) yield ARCHIVE;
      } finally {
        ended = true;
      }
    })();
    for await (const piece of compressed(endless, choice)) if (piece.length > 0) break;
    await expect.poll(() => ended).toBe(true);
  });
});
