/** Files that are read in pieces, one after the other into the same memory. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { PieceMemory, storedPieces, storedPiecesHere, wholeFile } from "../../../src/io/oci/stored-file.ts";
import { tempDir } from "../../support/temp.ts";

it("reads small and large files into one memory, in pieces of the size that is asked for", async () => {
  const memory = new PieceMemory();
  const buffers = new Set<ArrayBufferLike>();
  for (const size of [2500, 0, 10, 999, 1000, 2001, 1]) {
    const content = Buffer.from(Array.from({ length: size }, (_, index) => index ^ size));
    const path = join(tempDir(), "file");
    writeFileSync(path, content);
    const pieces: Buffer[] = [];
    for await (const piece of storedPieces(await wholeFile("file", path), 1000, memory)) {
      buffers.add(piece.buffer);
      expect(piece.length).toBeLessThanOrEqual(1000);
      pieces.push(Buffer.from(piece));
    }
    expect(Buffer.concat(pieces).equals(content)).toBe(true);
    expect(pieces).toHaveLength(Math.ceil(size / 1000));
  }
  expect(buffers.size).toBe(2);
});

it("reads files without giving way", async () => {
  const memory = new PieceMemory();
  for (const size of [1_000_000, 0, 10, 1 << 18]) {
    const content = Buffer.from(Array.from({ length: size }, (_, index) => index ^ size));
    const path = join(tempDir(), "file");
    writeFileSync(path, Buffer.concat([Buffer.from("head"), content, Buffer.from("tail")]));
    const pieces: Buffer[] = [];
    for (const piece of storedPiecesHere({ subject: "file", path, start: 4, size }, memory)) {
      pieces.push(Buffer.from(piece));
    }
    expect(pieces).toHaveLength(Math.ceil(size / 2 ** 18));
    expect(Buffer.concat(pieces).equals(content)).toBe(true);
  }
});

it("takes larger memory for a larger piece", () => {
  const memory = new PieceMemory();
  expect(memory.buffers(10).map(({ length }) => length)).toEqual([10, 10]);
  const [first, second] = memory.buffers(20);
  expect([first?.length, second?.length]).toEqual([20, 20]);
  expect(memory.buffers(5)).toEqual([first, second]);
  expect(first?.buffer).not.toBe(second?.buffer);
});
