import { describe, expect, it } from "vitest";
import { concat } from "../../src/bytes.ts";
import { joinSignatureLists, signatureListsOf } from "../../src/sign/list-source.ts";
import { certificateList, encodeSignatureLists, imageHashList, parseSignatureLists } from "../../src/sign/siglist.ts";
import { certificateEsl, OWNER } from "../support/databases.ts";
import { vectorCertificate } from "../support/signing.ts";

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
    expect(joinSignatureLists(lists)).toEqual([
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
    const joined = joinSignatureLists(signatureListsOf(many, "x", options));
    expect(joined.map(({ signatures }) => signatures.length)).toEqual([count]);
  });
});

describe("signatureListsOf", () => {
  it("takes lists as they are, with their owners", () => {
    const lists = concat([certificateEsl("ca"), certificateEsl("ca")]);
    expect(signatureListsOf(lists, "x", options)).toEqual(parseSignatureLists(lists, "x"));
  });
});
