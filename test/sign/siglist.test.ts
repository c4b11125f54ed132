import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toHex } from "../../src/bytes.ts";
import { concat } from "../../src/chunks.ts";
import { SealError } from "../../src/errors.ts";
import { decodeGuid, knownGuid } from "../../src/sign/guid.ts";
import {
  certificateList,
  encodeSignatureLists,
  parseSignatureLists,
  SHA256_TYPE,
  type SignatureList,
} from "../../src/sign/siglist.ts";
import { ODD_LISTS } from "../support/databases.ts";

const owner = knownGuid("11111111-2222-3333-4444-123456789abc");
const hashes = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
const hashList: SignatureList = { type: SHA256_TYPE, signatures: hashes.map((data) => ({ owner, data })) };

describe("signature lists", () => {
  it("have the layout of the specification", () => {
    const bytes = encodeSignatureLists([certificateList(owner, Uint8Array.of(0x30, 0x00, 0xff))]);
    expect(toHex(bytes)).toBe(
      [
        "a159c0a5e494a74a87b5ab155c2bf072", // SignatureType
        "2f000000", // SignatureListSize: 28 + 19
        "00000000", // SignatureHeaderSize
        "13000000", // SignatureSize: 16 + 3
        "11111111222233334444123456789abc", // SignatureOwner
        "3000ff",
      ].join(""),
    );
  });

  it("come back from their bytes, several in a row", () => {
    const guid = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(decodeGuid);
    const list = fc
      .tuple(guid, fc.integer({ min: 1, max: 40 }), fc.array(guid, { minLength: 1, maxLength: 4 }))
      .chain(([type, size, owners]) =>
        fc
          .array(fc.uint8Array({ minLength: size, maxLength: size }), {
            minLength: owners.length,
            maxLength: owners.length,
          })
          .map((data) => ({
            type,
            signatures: owners.map((one, index) => ({ owner: one, data: data[index] ?? new Uint8Array() })),
          })),
      );
    fc.assert(
      fc.property(fc.array(list, { maxLength: 4 }), (lists) => {
        expect(parseSignatureLists(encodeSignatureLists(lists), "x.esl")).toEqual(lists);
      }),
    );
    expect(parseSignatureLists(encodeSignatureLists([hashList]), "x.esl")).toEqual([hashList]);
  });

  it("may have no signatures, a header or a type that nobody knows, as firmware reads them", () => {
    const lists = parseSignatureLists(ODD_LISTS, "x.esl");
    expect(lists.map(({ signatures, header }) => [signatures.length, header?.length])).toEqual([
      [0, undefined],
      [1, undefined],
      [1, 16],
      [1, undefined],
    ]);
    expect(encodeSignatureLists(lists)).toEqual(ODD_LISTS);
  });

  it("are not written when their signatures don't fit together", () => {
    const mixed = [
      { owner, data: Uint8Array.of(1) },
      { owner, data: Uint8Array.of(1, 2) },
    ];
    expect(() => encodeSignatureLists([{ type: owner, signatures: mixed }])).toThrow(RangeError);
    expect(() => encodeSignatureLists([{ type: SHA256_TYPE, signatures: mixed.slice(1) }])).toThrow(
      /2 bytes, expected 32/,
    );
    // A list without signatures is nothing that a variable could hold.
    expect(() => encodeSignatureLists([{ type: SHA256_TYPE, signatures: [] }])).toThrow(RangeError);
  });
});

describe("hostile signature lists", () => {
  const good = encodeSignatureLists([hashList]);
  const patched = (...words: readonly number[]) => {
    const bytes = Uint8Array.from(good);
    for (let at = 0; at < words.length; at += 2)
      new DataView(bytes.buffer).setUint32(words[at] ?? 0, words[at + 1] ?? 0, true);
    return bytes;
  };

  it.each([
    ["list size beyond the file", patched(16, 0xffffffff), /signature list 1 needs bytes/],
    ["list size 0, which would never end", patched(16, 0), /list 1 of 0 bytes can't hold/],
    ["list size that is no multiple", patched(16, 28 + 50), /can't hold signatures of 48 bytes/],
    ["a header that leaves less than a signature", patched(20, 16), /can't hold signatures of 48 bytes/],
    ["a header longer than the list", patched(20, 97), /can't hold its header of 125/],
    ["signature size 0, which firmware would divide by", patched(24, 0), /signatures of 0 bytes/],
    ["signature size 0 of a list without signatures", patched(16, 28, 24, 0), /signatures of 0 bytes/],
    ["signature size of an owner alone", patched(24, 16), /without content/],
    ["hashes of the wrong size", patched(24, 24), /image hash entries of 8 bytes, expected 32/],
    ["trailing bytes", concat([good, Uint8Array.of(0)]), /type of signature list 2/],
  ])("%s: refused", (_, bytes, message) => {
    expect(() => parseSignatureLists(bytes, "x.esl")).toThrow(message);
  });

  it("every truncation is refused by name", () => {
    for (let length = 1; length < good.length; length++) {
      expect(() => parseSignatureLists(good.subarray(0, length), "x.esl")).toThrow(/^x\.esl: /);
    }
  });

  it("arbitrary bytes give lists that encode to the same bytes, or an input error", () => {
    const header = fc
      .tuple(fc.nat(120), fc.nat(20), fc.nat(60))
      .map((sizes) => new Uint8Array(Uint32Array.from(sizes).buffer));
    const bytes = fc.tuple(fc.uint8Array({ minLength: 16, maxLength: 16 }), header, fc.uint8Array()).map(concat);
    fc.assert(
      fc.property(fc.oneof(bytes, fc.uint8Array()), (input) => {
        try {
          expect(encodeSignatureLists(parseSignatureLists(input, "x.esl"))).toEqual(input);
        } catch (error) {
          expect(error).toBeInstanceOf(SealError);
        }
      }),
    );
  });
});
