import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { alignUp, compareBytes, displayBytes, escapeControls, fromHex, toHex, utf8 } from "../src/bytes.ts";
import { readRange } from "../src/chunks.ts";

describe("text for people", () => {
  it.each([
    ["é日本", "é日本"],
    ["a\n\x1b[2J\x7f", "a\\x0a\\x1b[2J\\x7f"],
    ["\u009b", "\\x9b"],
    ["photo\u202egpj.exe", "photo\\u202egpj.exe"],
    ["a\u200bb\u2066\ufeff\u061c", "a\\u200bb\\u2066\\ufeff\\u061c"],
  ])("has no character that does something: %j", (text, shown) => {
    expect(escapeControls(text)).toBe(shown);
    expect(displayBytes(utf8(text))).toBe(shown);
  });

  it("shows bytes that are not UTF-8", () => {
    expect(displayBytes(Uint8Array.of(0x61, 0xff, 0xc3, 0xa9))).toBe("a\\xff\\xc3\\xa9");
  });
});

describe("byte helpers", () => {
  it("read ranges of chunk lists as of one array", () => {
    const chunk = fc.uint8Array({ maxLength: 5 });
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 5 }), fc.nat(25), fc.nat(25), (chunks, a, b) => {
        const whole = Buffer.concat(chunks);
        const [start, end] = [Math.min(a, b), Math.max(a, b)];
        const read = () => Buffer.concat([...readRange(chunks, start, end)]);
        if (end > whole.length) expect(read).toThrow(RangeError);
        else expect(read()).toEqual(whole.subarray(start, end));
      }),
    );
    expect(() => [...readRange([], -1, 0)]).toThrow(RangeError);
    expect(() => [...readRange([utf8("abc")], 2, 1)]).toThrow(RangeError);
  });

  it("read back the hex that they write, and nothing else", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(fromHex(toHex(bytes))).toEqual(bytes);
      }),
    );
    expect(fromHex("aBcD")).toEqual(Uint8Array.of(0xab, 0xcd));
    for (const text of ["a", "0x", "gg", "ab ", "ab\n"]) expect(fromHex(text)).toBeNull();
  });

  it("order by bytes, and align upwards", () => {
    expect(compareBytes(Uint8Array.of(0x7f), Uint8Array.of(0x80))).toBeLessThan(0);
    expect(compareBytes(utf8("a"), utf8("ab"))).toBeLessThan(0);
    expect(compareBytes(utf8("a"), utf8("a"))).toBe(0);
    expect([0, 1, 511, 512, 513].map((value) => alignUp(value, 512))).toEqual([0, 512, 512, 512, 1024]);
    expect(alignUp(7, 3)).toBe(9);
  });
});
