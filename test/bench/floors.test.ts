import { linkSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { digestTree } from "../../bench/floors/digest-tree.ts";
import { unpackBeside, unpackHere } from "../../bench/floors/unpack.ts";
import {
  digestOfPieces,
  fileDigest,
  HASH,
  memory,
  PIECE,
  PIECE_HASHES,
  pieceHashes,
} from "../../bench/floors/verity.ts";
import { concat } from "../../src/chunks.ts";
import { verityDigest } from "../../src/composefs/verity.ts";
import { sha256 } from "../support/layout.ts";
import { tempDir } from "../support/temp.ts";

function content(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, index) => (index * 31 + (index >> 12)) & 0xff);
}

function piecesOf(bytes: Uint8Array): Uint8Array {
  const hashes: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += PIECE) {
    const piece = bytes.subarray(at, at + PIECE);
    memory.set(piece);
    hashes.push(new Uint8Array(pieceHashes(piece.length)));
  }
  return concat(hashes);
}

describe("the floor of directories", () => {
  it.each([0, 1, 4095, 4096, 4097, 64 * 4096, 64 * 4096 + 1, PIECE - 1, PIECE])("hashes a file of %i bytes", (size) => {
    const bytes = content(size);
    memory.fill(0xff);
    memory.set(bytes);
    expect(Buffer.from(fileDigest(size))).toEqual(Buffer.from(verityDigest(bytes, "sha512")));
  });

  it.each([PIECE + 1, 2 * PIECE, 17 * PIECE + 5000])("hashes a file of %i bytes in pieces", (size) => {
    const bytes = content(size);
    memory.fill(0xff);
    const hashes = piecesOf(bytes);
    expect(Buffer.from(digestOfPieces(hashes, size))).toEqual(Buffer.from(verityDigest(bytes, "sha512")));
  });

  it("hashes each file of a directory once, as seal does", () => {
    const root = tempDir();
    mkdirSync(join(root, "a/b"), { recursive: true });
    const files = [65, 5000, 2 * PIECE + 1, 200].map((size, index) => content(size).fill(index, 0, 60));
    for (const [index, bytes] of files.entries())
      writeFileSync(join(root, index % 2 === 0 ? "a" : "a/b", `${index}`), bytes);
    linkSync(join(root, "a/0"), join(root, "a/link"));
    const found = Buffer.from(digestTree(root)).toString("hex");
    for (const bytes of files) expect(found).toContain(Buffer.from(verityDigest(bytes, "sha512")).toString("hex"));
    const ofPieces = 3 * PIECE_HASHES;
    expect(found.length).toBe(2 * HASH * (3 + ofPieces));
  });
});

describe("the floor of layers", () => {
  it.each([0, 1, 300_000, 12_000_000])("unpacks and hashes a layer of %i bytes", async (size) => {
    const archive = content(size);
    const layer = gzipSync(archive, { level: 0 });
    const path = join(tempDir(), "layer");
    writeFileSync(path, layer);
    const digests = [sha256(layer), sha256(archive)];
    expect(unpackHere(path)).toEqual(digests);
    expect(await unpackBeside(path)).toEqual(digests);
  });
});
