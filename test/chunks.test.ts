import fc from "fast-check";
import { expect, it } from "vitest";
import { byteLength, type Chunks, concat, joinChunks, piecesOf, StoredBytes } from "../src/chunks.ts";

function stored(bytes: Uint8Array): StoredBytes {
  return new StoredBytes((into, offset) => into.set(bytes.subarray(offset, offset + into.length)), bytes.length);
}

it("joins chunk lists, wherever their bytes are", () => {
  const list = fc.tuple(fc.array(fc.uint8Array({ maxLength: 9 }), { maxLength: 4 }), fc.boolean());
  fc.assert(
    fc.property(fc.array(list, { maxLength: 5 }), fc.nat(), fc.nat(), (lists, a, b) => {
      const chunks: Chunks[] = lists.map(([parts, isStored]) => (isStored ? stored(concat(parts)) : parts));
      const joined = joinChunks(...chunks);
      const whole = Buffer.concat(lists.flatMap(([parts]) => parts));
      expect(byteLength(joined)).toBe(whole.length);
      expect(Buffer.compare(concat(joined), whole)).toBe(0);
      const [start = 0, end = 0] = [a % (whole.length + 1), b % (whole.length + 1)].sort((x, y) => x - y);
      expect(Buffer.compare(Buffer.concat([...piecesOf(joined, start, end)]), whole.subarray(start, end))).toBe(0);
    }),
  );
});

it("gives large files in pieces, of which the last but one is still good", () => {
  const bytes = Buffer.alloc((3 << 20) + 7, "pieces of a large file");
  for (const chunks of [[bytes], stored(bytes)]) {
    let before: { readonly piece: Uint8Array; readonly copy: Buffer } | null = null;
    const copies: Buffer[] = [];
    for (const piece of piecesOf(chunks, 1, bytes.length)) {
      expect(piece.length).toBeLessThanOrEqual(1 << 20);
      if (before !== null) expect(Buffer.compare(before.piece, before.copy)).toBe(0);
      before = { piece, copy: Buffer.from(piece) };
      copies.push(before.copy);
    }
    expect(Buffer.compare(Buffer.concat(copies), bytes.subarray(1))).toBe(0);
  }
});
