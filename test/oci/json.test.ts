import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import { formatJson, parseJsonObject } from "../../src/oci/json.ts";

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const rewritten = (json: string) => text(formatJson(parseJsonObject(utf8(json), "config")));

describe("image documents", () => {
  it("keep the digits of numbers that a double does not hold", () => {
    const json = '{"a":12345678901234567890,"b":1.0,"c":-0,"d":1e400,"e":[1E2,0.10],"f":{"rawJSON":"1"}}';
    expect(rewritten(json)).toBe(json);
  });

  it("mean the same after they were read and written again, members in their order", () => {
    const number = fc
      .tuple(
        fc.constantFrom("", "-"),
        fc.bigInt({ min: 0n, max: 1n << 80n }),
        fc.constantFrom("", ".50", "e5", ".0E-3"),
      )
      .map(([sign, digits, rest]) => `${sign}${digits}${rest}`);
    const leaf = fc.oneof(
      number,
      fc.string({ unit: "binary" }).map((one) => JSON.stringify(one)),
      fc.constantFrom("null", "true"),
    );
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 4 }, leaf, tie("array"), tie("object")),
      array: fc.array(tie("value"), { maxLength: 4 }).map((items) => `[${items.join(",")}]`),
      object: fc
        .uniqueArray(
          fc.tuple(
            fc.string().filter((key) => !/^\d+$/.test(key)),
            tie("value"),
          ),
          { selector: ([key]) => key, maxLength: 4 },
        )
        .map((members) => `{${members.map(([key, one]) => `${JSON.stringify(key)}:${one}`).join(",")}}`),
    }));
    fc.assert(
      fc.property(value, (one) => {
        const json = `{"x":${one}}`;
        expect(rewritten(json)).toBe(json);
      }),
    );
  });

  it.each([
    "",
    "[]",
    '"x"',
    "{",
    '{"a":1}x',
    "\xff",
    `{"a":${"[".repeat(100_000)}`,
    `{"a":${"[".repeat(200_000)}${"]".repeat(200_000)}}`,
  ])("are refused when they are none (%#)", (json) => {
    expect(() => parseJsonObject(Buffer.from(json, "latin1"), "oci:x: config")).toThrow(/^oci:x: config: is /);
  });
});
