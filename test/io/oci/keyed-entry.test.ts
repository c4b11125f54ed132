import { describe, expect, it } from "vitest";
import { utf8 } from "../../../src/bytes.ts";
import { decodeKeyedEntry, encodeKeyedEntry, partsKey } from "../../../src/io/oci/keyed-entry.ts";

const MAGIC = utf8("A\x00MAGIC\x01");
const KEY = new Uint8Array(32).fill(7);
const CONTENTS = utf8("contents");

describe("an entry that is found by a key", () => {
  it("is what was written, and nothing else", () => {
    const file = encodeKeyedEntry(MAGIC, KEY, CONTENTS);
    const read = (bytes: Uint8Array, key = KEY, magic = MAGIC) => decodeKeyedEntry(magic, bytes, key, "f");
    expect(read(file)).toEqual(CONTENTS);
    expect(() => read(file, KEY.with(0, 8))).toThrow("f: is damaged: it is for something else");
    expect(() => read(file, KEY, MAGIC.with(7, 2))).toThrow("was written by another version of seal");
    expect(() => read(Buffer.concat([file, CONTENTS]))).toThrow("f: is damaged: it has the wrong length");
    for (let at = 0; at < file.length; at++) {
      expect(() => read(file.with(at, (file[at] ?? 0) ^ 1))).toThrow(/^f: /);
      expect(() => read(file.subarray(0, at))).toThrow(/^f: /);
    }
  });

  it("has the key of all parts, in their order and length", () => {
    const keys = [["ab"], ["a", "b"], ["b", "a"], ["ab", ""], ["2 ab"], []].map((parts) => partsKey(parts.map(utf8)));
    expect(new Set(keys.map((key) => Buffer.from(key).toString("hex"))).size).toBe(keys.length);
    expect(keys.map(({ length }) => length)).toEqual(keys.map(() => 32));
  });
});
