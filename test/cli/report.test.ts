import { Chalk } from "chalk";
import { describe, expect, it } from "vitest";
import { formatBytes, formatCount, renderReport, renderTable } from "../../src/cli/report.ts";

describe("report", () => {
  it("aligns labels, continuation lines and times", () => {
    const text = renderReport(
      [
        { mark: "done", label: "digest", text: ["v1 sha512", "9f3c"], seconds: 0.61 },
        { mark: "warning", label: "sub-second times", text: ["37 files"] },
        { mark: "info", label: "accepted by", text: ["bootc 1.16.4"] },
      ],
      new Chalk({ level: 0 }),
    );
    expect(text.split("\n")).toEqual([
      ` ✓ digest            v1 sha512${" ".repeat(57)}0.6 s`,
      "                     9f3c",
      " ! sub-second times  37 files",
      "   accepted by       bootc 1.16.4",
    ]);
  });

  it("makes columns as wide as their widest cell and leaves no blanks at the end", () => {
    expect(
      renderTable([
        ["a", "bb", "c"],
        ["aaa", "b", ""],
      ]),
    ).toBe("a    bb  c\naaa  b");
  });

  it.each([
    [0, "0 B"],
    [999, "999 B"],
    [1000, "1.0 kB"],
    [999_949, "999.9 kB"],
    [999_950, "1.0 MB"],
    [44_600_000, "44.6 MB"],
    [5e15, "5000.0 TB"],
  ])("writes %d bytes as %s", (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it("groups counts", () => {
    expect(formatCount(14314)).toBe("14,314");
  });
});
