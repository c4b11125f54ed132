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
    // The hash of both is that of one place.
    const [one, other] = ["Aa", "BB"].map((text) => names.bytes(text));
    expect([one, other].map((bytes) => latin1(bytes ?? new Uint8Array()))).toEqual(["Aa", "BB"]);
  });

  it("refuses what is longer than Linux takes", () => {
    expect(new Names().bytes("x".repeat(255))).toHaveLength(255);
    expect(() => new Names().bytes("x".repeat(256))).toThrow("longer than 255 bytes");
  });
});
