import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toHex } from "../../src/bytes.ts";
import type { VerityAlgorithm } from "../../src/composefs/series.ts";
import { branchSize, VerityHasher, verityDigest } from "../../src/composefs/verity.ts";
import { VerityLayout } from "../../src/composefs/verity-metadata.ts";

/** The definition, level by level, as fsverity.rst has it; slow and with all in memory. */
function reference(bytes: Uint8Array, algorithm: VerityAlgorithm): string {
  const h = (data: Uint8Array) => createHash(algorithm).update(data).digest();
  let level = Buffer.from(bytes);
  let root: Buffer = Buffer.alloc(0);
  while (level.length > 0) {
    const hashes: Buffer[] = [];
    for (let offset = 0; offset < level.length; offset += 4096) {
      hashes.push(h(Buffer.concat([level.subarray(offset, offset + 4096), Buffer.alloc(4096)]).subarray(0, 4096)));
    }
    if (hashes.length === 1) {
      root = hashes[0] as Buffer;
      break;
    }
    level = Buffer.concat(hashes);
  }
  const descriptor = Buffer.alloc(256);
  descriptor.set([1, algorithm === "sha256" ? 1 : 2, 12]);
  descriptor.writeBigUInt64LE(BigInt(bytes.length), 8);
  root.copy(descriptor, 16);
  return h(descriptor).toString("hex");
}

/** The levels of the tree as ext4 has them behind the data, from the definition. */
function referenceMetadata(bytes: Uint8Array, algorithm: VerityAlgorithm): Buffer {
  const h = (data: Uint8Array) => createHash(algorithm).update(data).digest();
  const blocks = (data: Buffer) =>
    Array.from({ length: Math.ceil(data.length / 4096) }, (_, index) =>
      Buffer.concat([data.subarray(index * 4096, (index + 1) * 4096), Buffer.alloc(4096)]).subarray(0, 4096),
    );
  const levels: Buffer[] = [];
  for (let level = blocks(Buffer.from(bytes)); level.length > 1; level = blocks(levels[0] as Buffer))
    levels.unshift(Buffer.concat(blocks(Buffer.concat(level.map(h)))));
  const top = levels[0] ?? blocks(Buffer.from(bytes))[0];
  const last = Buffer.alloc(4096);
  last.set([1, algorithm === "sha256" ? 1 : 2, 12]);
  last.writeBigUInt64LE(BigInt(bytes.length), 8);
  if (top !== undefined) h(top).copy(last, 16);
  last.writeUInt32LE(256, 4092);
  return Buffer.concat([...levels, last]);
}

/** Bytes that differ from block to block. */
function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + (i >>> 12) * 31 + (i >>> 20)) & 0xff);
}

function inPieces(bytes: Uint8Array, size: number, algorithm: VerityAlgorithm): string {
  const hasher = new VerityHasher(algorithm);
  for (let offset = 0; offset < bytes.length; offset += size) hasher.update(bytes.subarray(offset, offset + size));
  return toHex(hasher.digest());
}

describe.each(["sha512", "sha256"] as const)("fs-verity with %s", (algorithm) => {
  const perBlock = algorithm === "sha512" ? 64 : 128;
  const small = [1, 2, perBlock - 1, perBlock, perBlock + 1, 2 * perBlock].flatMap((n) =>
    [-1, 0, 1].map((d) => n * 4096 + d),
  );
  // Three levels of the tree and, for SHA-512, the step to four.
  const large = algorithm === "sha512" ? [64 * 64 * 4096, 64 * 64 * 4096 + 1] : [];
  const lengths = [0, 1, ...small, ...large];

  it.each(lengths)("digests %i bytes", (length) => {
    const bytes = pattern(length);
    const expected = reference(bytes, algorithm);
    expect(toHex(verityDigest(bytes, algorithm))).toBe(expected);
    for (const size of [4096, 1 << 20, 5000]) expect(inPieces(bytes, size, algorithm)).toBe(expected);
  });

  it.each(lengths)("lays out the tree and the descriptor of %i bytes", (length) => {
    const bytes = pattern(length);
    const expected = referenceMetadata(bytes, algorithm);
    for (const size of [1 << 20, 5000]) {
      const layout = new VerityLayout(algorithm);
      for (let offset = 0; offset < length; offset += size) layout.update(bytes.subarray(offset, offset + size));
      const { offset, bytes: metadata } = layout.finish();
      expect(offset).toBe(Math.ceil(length / 65536) * 65536);
      expect(Buffer.compare(metadata, expected)).toBe(0);
    }
    // What is measured by the kernel is the hash of the descriptor that lies there.
    const descriptor = expected.subarray(expected.length - 4096).subarray(0, 256);
    expect(createHash(algorithm).update(descriptor).digest("hex")).toBe(toHex(verityDigest(bytes, algorithm)));
  });

  it("makes no difference of how the bytes are cut", () => {
    const bytes = pattern(3 * 4096 + 17);
    const expected = reference(bytes, algorithm);
    for (const size of [1, 3, 63, 4095, 4097, 12288]) expect(inPieces(bytes, size, algorithm)).toBe(expected);
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 9000 }), { maxLength: 6 }), (chunks) => {
        const hasher = new VerityHasher(algorithm);
        for (const chunk of chunks) {
          const reused = Uint8Array.from(chunk);
          hasher.update(reused);
          reused.fill(0xee);
        }
        expect(toHex(hasher.digest())).toBe(reference(Buffer.concat(chunks), algorithm));
      }),
      { numRuns: 50 },
    );
  });

  it.each([1, 5])("is put together of pieces of %i branches, which come in any order", (branches) => {
    const size = branches * branchSize(algorithm);
    for (const length of [1, 4096, 4097, size, size + 1, 12 * branchSize(algorithm) - 17]) {
      const bytes = pattern(length);
      const pieces = Array.from({ length: Math.ceil(length / size) }, (_, index) =>
        bytes.subarray(index * size, (index + 1) * size),
      );
      const hashed = pieces.toReversed().map((piece) => {
        const hasher = new VerityHasher(algorithm);
        hasher.update(piece);
        return hasher.branches();
      });
      const whole = new VerityHasher(algorithm);
      for (const [index, piece] of pieces.entries()) {
        whole.addBranches(hashed.at(-1 - index) ?? new Uint8Array(0), piece.length);
      }
      // A file of no more than one branch has no level 1, and is never cut.
      if (length > branchSize(algorithm)) expect(toHex(whole.digest())).toBe(reference(bytes, algorithm));
    }
  });

  it("takes what was put where it reads from", () => {
    const bytes = pattern(20_000);
    const hasher = new VerityHasher(algorithm);
    for (let offset = 0; offset < bytes.length; ) {
      const piece = bytes.subarray(offset, offset + 1500);
      hasher.space.set(piece);
      hasher.advance(piece.length);
      offset += piece.length;
    }
    const digest = new Uint8Array(100);
    hasher.digestInto(digest, 10);
    const { length } = verityDigest(bytes, algorithm);
    expect(toHex(digest.subarray(10, 10 + length))).toBe(reference(bytes, algorithm));
  });

  it("leaves no trace of one file in the next", () => {
    const long = pattern(4000);
    const short = pattern(10);
    verityDigest(long, algorithm);
    expect(toHex(verityDigest(short, algorithm))).toBe(reference(short, algorithm));
    expect(toHex(verityDigest(new Uint8Array(), algorithm))).toBe(reference(new Uint8Array(), algorithm));
  });

  it("hashes one file after the other, each as if it were the only one", () => {
    const hasher = new VerityHasher(algorithm);
    const { length } = verityDigest(new Uint8Array(), algorithm);
    const sizes = [1_200_000, 10, 0, 4096, 600_000, 5000, 0];
    const digests = new Uint8Array(sizes.length * length);
    for (const [index, size] of sizes.entries()) {
      hasher.update(pattern(size));
      hasher.nextDigestInto(digests, index * length);
    }
    hasher.end();
    const found = sizes.map((_, index) => toHex(digests.subarray(index * length, (index + 1) * length)));
    expect(found).toEqual(sizes.map((size) => reference(pattern(size), algorithm)));
    expect(toHex(verityDigest(pattern(10), algorithm))).toBe(reference(pattern(10), algorithm));
  });

  it("gives digests that stay as they are", () => {
    const first = verityDigest(pattern(10), algorithm);
    const copy = toHex(first);
    verityDigest(pattern(20), algorithm);
    expect(toHex(first)).toBe(copy);
  });
});

it("agrees with fsverity-utils on the empty file", () => {
  // `fsverity digest --hash-alg=sha256 /dev/null`
  expect(toHex(verityDigest(new Uint8Array(), "sha256"))).toBe(
    "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95",
  );
});
