import { chmodSync, linkSync, statSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { latin1, toHex, utf8 } from "../../src/bytes.ts";
import { verityDigest } from "../../src/composefs/verity.ts";
import { BatchWriter, type Piece, pathIn } from "../../src/io/hash-batch.ts";
import { type HashedBatch, hashBatch, readSmallFile } from "../../src/io/hash-file.ts";
import { emptyStat, type FileIdentity, IDENTITY, lstat } from "../../src/io/libc.ts";
import { tempDir } from "../support/temp.ts";

const TIME = new Date("2026-01-02T03:04:05Z");

function identityOf(path: string): FileIdentity {
  const stat = emptyStat();
  lstat(utf8(`${path}\0`), stat);
  return stat.identity;
}

/** An identity without what linking changes in it. */
function unlinked(identity: FileIdentity): FileIdentity {
  return identity.slice(0, IDENTITY.ctime);
}

function ctimeIn(identity: FileIdentity): FileIdentity {
  return identity.slice(IDENTITY.ctime, IDENTITY.links);
}

/** A file, and what it was when a scan saw it. */
function scanned(size: number): { path: string; identity: FileIdentity } {
  const path = join(tempDir(), "file");
  writeFileSync(path, Buffer.alloc(size, "a"));
  utimesSync(path, TIME, TIME);
  return { path, identity: identityOf(path) };
}

/** Does something until it has changed ctime, which moves with the clock of the kernel, some milliseconds at a time. */
async function untilCtimeMoves(path: string, identity: FileIdentity, change: () => void): Promise<void> {
  do {
    await setTimeout(5);
    change();
  } while (ctimeIn(identityOf(path)).join() === ctimeIn(identity).join());
}

/** Changes one byte and puts mtime back, as a build that sets all times does, or somebody who hides it. */
async function changeUnseen(path: string, identity: FileIdentity): Promise<void> {
  const { size } = statSync(path);
  await untilCtimeMoves(path, identity, () => {
    writeFileSync(path, Buffer.alloc(size, "b"));
    utimesSync(path, TIME, TIME);
  });
  expect(unlinked(identityOf(path))).toEqual(unlinked(identity));
}

/** As what links a file into another tree: its content is as it was, its ctime is not. */
async function link(path: string, identity: FileIdentity): Promise<void> {
  await setTimeout(5);
  let count = 0;
  await untilCtimeMoves(path, identity, () => linkSync(path, `${path}.${count++}`));
}

function hashAll(paths: readonly string[], ...identities: readonly FileIdentity[]): HashedBatch {
  return hashPiece(null, paths, ...identities);
}

function hashPiece(piece: Piece | null, paths: readonly string[], ...identities: readonly FileIdentity[]): HashedBatch {
  const files = new BatchWriter(paths.length);
  for (const [index, path] of paths.entries()) {
    expect(files.isFull).toBe(false);
    files.add(utf8(path), path.length, identities[index] ?? new Uint32Array(), 0);
  }
  expect(files.isFull).toBe(true);
  const batch = files.take("sha256", piece);
  expect(paths.map((_, index) => latin1(pathIn(batch, index)))).toEqual(paths);
  return hashBatch(batch);
}
const hash = (path: string, identity: FileIdentity) => toHex(hashAll([path], identity).hashes);

describe("a file whose content changed while its size and mtime did not", () => {
  const changed = expect.objectContaining({
    code: "input",
    message: expect.stringContaining("changed while it was read"),
  });

  it.each([100, (2 << 20) + 1])("is noticed when it is hashed, %d bytes", async (size) => {
    const { path, identity } = scanned(size);
    expect(hash(path, identity)).toBe(toHex(verityDigest(Buffer.alloc(size, "a"), "sha256")));
    await changeUnseen(path, identity);
    expect(() => hash(path, identity)).toThrow(changed);
  });

  it("is noticed in each piece of it", async () => {
    const { path, identity } = scanned(3 << 20);
    const pieces = [0, 1 << 20, 2 << 20].map((offset) => ({ offset, size: 1 << 20 }));
    for (const piece of pieces) expect(hashPiece(piece, [path], identity).relinked).toEqual([]);
    await changeUnseen(path, identity);
    for (const piece of pieces) expect(() => hashPiece(piece, [path], identity)).toThrow(changed);
    writeFileSync(path, "");
    for (const piece of pieces) expect(() => hashPiece(piece, [path], identity)).toThrow(changed);
  });

  it("is noticed when it is read", async () => {
    const { path, identity } = scanned(10);
    expect(readSmallFile(utf8(path), identity, 10)).toEqual(new Uint8Array(Buffer.alloc(10, "a")));
    await changeUnseen(path, identity);
    expect(() => readSmallFile(utf8(path), identity, 10)).toThrow(changed);
  });
});

describe("a file that got another name while it was read", () => {
  it("is told of beside its digest, and those before and behind it are not", async () => {
    const files = [scanned(100), scanned((2 << 20) + 1), scanned(100)] as const;
    await link(files[1].path, files[1].identity);
    const paths = files.map(({ path }) => path);
    const { hashes, relinked } = hashAll(paths, ...files.map(({ identity }) => identity));
    expect(relinked).toEqual([1]);
    expect(toHex(hashes.subarray(32, 64))).toBe(toHex(verityDigest(Buffer.alloc((2 << 20) + 1, "a"), "sha256")));
    expect(hashAll(paths, ...paths.map(identityOf)).relinked).toEqual([]);
  });

  it("is told of when it has one name less", async () => {
    const { path } = scanned(100);
    linkSync(path, `${path}.other`);
    const identity = identityOf(path);
    await setTimeout(5);
    unlinkSync(`${path}.other`);
    if (ctimeIn(identityOf(path)).join() !== ctimeIn(identity).join())
      expect(hashAll([path], identity).relinked).toEqual([0]);
  });

  it("has to be looked at again when it is small", async () => {
    const { path, identity } = scanned(10);
    await link(path, identity);
    expect(readSmallFile(utf8(path), identity, 10)).toBeNull();
    expect(readSmallFile(utf8(path), identityOf(path), 10)).toHaveLength(10);
  });

  it("has changed when another mode or time is all that ctime can mean, and when its size or time is another one too", async () => {
    const { path, identity } = scanned(100);
    await untilCtimeMoves(path, identity, () => chmodSync(path, 0o600));
    expect(() => hash(path, identity)).toThrow("changed while it was read");
    const other = scanned(100);
    await link(other.path, other.identity);
    utimesSync(other.path, 1, 1);
    expect(() => hash(other.path, other.identity)).toThrow("changed while it was read");
  });
});
