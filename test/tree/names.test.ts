import { describe, expect, it } from "vitest";
import { latin1 } from "../../src/bytes.ts";
import { Names } from "../../src/tree/names.ts";

describe("Names", () => {
  it("has the bytes of each name, however many there are", () => {
    const names = new Names();
    const texts = Array.from({ length: 30_000 }, (_, index) => `name-${index}\xff\x01`);
    const all = texts.map((text) => names.bytes(text));
    expect(all.map(latin1)).toEqual(texts);
  });

  it("gives equal names the same bytes, and no others", () => {
    const names = new Names();
    const first = names.bytes("__init__.py");
    expect(names.bytes("__init__.py")).toBe(first);
    expect(latin1(names.bytes("__init__.pz"))).toBe("__init__.pz");
  });

  it("does not keep all names of a large tree", () => {
    const names = new Names();
    const first = names.bytes("0");
    for (let index = 1; index < 100_000; index++) names.bytes(`${index}`);
    expect(names.bytes("0")).toEqual(first);
    expect(names.bytes("0")).not.toBe(first);
  });

  it("refuses what is longer than Linux takes", () => {
    expect(new Names().bytes("x".repeat(255))).toHaveLength(255);
    expect(() => new Names().bytes("x".repeat(256))).toThrow("longer than 255 bytes");
  });
});
