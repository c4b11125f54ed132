import { describe, expect, it } from "vitest";
import { displayWidth, fitting } from "../../../src/cli/terminal/width.ts";

describe("the width of a text", () => {
  it.each([
    ["", 0],
    ["plain", 5],
    ["ä", 1],
    ["a\u0308", 1],
    ["漢字", 4],
    ["ｆ", 2],
    ["ｶ", 1],
    ["한", 2],
    ["😀", 2],
    ["𠀀", 2],
    // Wide since Unicode 16; no table from before knows it.
    ["\u{1faea}", 2],
    ["…·✓", 3],
  ])("of %j is %d", (text, columns) => {
    expect(displayWidth(text)).toBe(columns);
  });

  it("is cut where it would become larger, never within a character", () => {
    expect(fitting("a漢字", 4)).toBe("a漢");
    expect(fitting("a😀", 2)).toBe("a");
    expect(fitting("e\u0301e\u0301", 1)).toBe("e\u0301");
  });
});
