import { describe, expect, it } from "vitest";
import { toHex } from "../../src/bytes.ts";
import { concat } from "../../src/chunks.ts";
import { joinSignatureLists, signatureListsOf } from "../../src/sign/list-source.ts";
import {
  certificateList,
  encodeSignatureLists,
  imageHashList,
  parseSignatureLists,
  SHA256_TYPE,
} from "../../src/sign/siglist.ts";
import { certificateEsl, ODD_LISTS, OWNER } from "../support/databases.ts";
import { vectorCertificate } from "../support/signing.ts";
import { vector } from "../support/vectors.ts";

const options = { owner: OWNER, certificatesByHash: false };
const hash = (n: number) => new Uint8Array(32).fill(n);

describe("joinSignatureLists", () => {
  it("makes one list of neighbouring lists of image hashes, and drops entries that came before", () => {
    const certificate = certificateList(OWNER, vectorCertificate("ca").der);
    const lists = [
      imageHashList(OWNER, [hash(1), hash(2), hash(1)]),
      imageHashList(OWNER, [hash(2), hash(3)]),
      certificate,
      certificate,
      imageHashList(OWNER, [hash(1), hash(4)]),
    ];
    expect(joinSignatureLists(lists.map((list) => [list]))).toEqual([
      imageHashList(OWNER, [hash(1), hash(2), hash(3)]),
      certificate,
      imageHashList(OWNER, [hash(4)]),
    ]);
  });

  it("takes time and stack in proportion, also for lists made to be many", () => {
    const one = encodeSignatureLists([imageHashList(OWNER, [hash(0)])]);
    const count = 150_000;
    const many = new Uint8Array(one.length * count);
    const view = new DataView(many.buffer);
    for (let index = 0; index < count; index++) {
      many.set(one, index * one.length);
      view.setUint32((index + 1) * one.length - 4, index);
    }
    const [first, ...others] = signatureListsOf(many, "x", options);
    const joined = joinSignatureLists([first === undefined ? [] : [first], others]);
    expect(joined.map(({ signatures }) => signatures.length)).toEqual([count]);
  });
});

describe("signatureListsOf", () => {
  it("keeps the lists of a single source to the byte, as firmware measures them", () => {
    const lists = concat([
      encodeSignatureLists([imageHashList(OWNER, [hash(1)]), imageHashList(OWNER, [hash(1)])]),
      ODD_LISTS,
      certificateEsl("ca", "ca"),
    ]);
    const read = signatureListsOf(lists, "x", options);
    expect(new Uint8Array(encodeSignatureLists(joinSignatureLists([read, []])))).toEqual(lists);
    // Among others, a list without entries says nothing, and a header stays with its own.
    const joined = joinSignatureLists([read, [imageHashList(OWNER, [hash(9)])]]);
    expect(joined.map(({ signatures, header }) => [signatures.length, header?.length])).toEqual([
      [1, undefined],
      [1, undefined],
      [1, 16],
      [1, undefined],
      [1, undefined],
      [1, undefined],
    ]);
  });

  it("takes a program for its hash, and one of odd length for the hash with and without the zeros that signing adds", () => {
    const hashes = (path: string) =>
      signatureListsOf(vector(path), "x", options).map(({ type, signatures }) => [
        type,
        ...signatures.map(({ data }) => toHex(data)),
      ]);
    expect(hashes("authenticode/pe/plain.efi.gz")).toEqual([[SHA256_TYPE, expect.any(String)]]);
    expect(hashes("authenticode/pe/unaligned-end.efi.gz")).toEqual([
      [
        SHA256_TYPE,
        "febb5b6da3289d84292b878265731bbd90c1de9d5bb61e928cf324bcda9afca7",
        "eaafb8f85c4d5d0952156df93bdad7d42c5a41dbdfd21a7adf8a268bcd078a46",
      ],
    ]);
  });

  it("takes lists as they are, with their owners", () => {
    const lists = concat([certificateEsl("ca"), certificateEsl("ca")]);
    expect(signatureListsOf(lists, "x", options)).toEqual(parseSignatureLists(lists, "x"));
  });
});
