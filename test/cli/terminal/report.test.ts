import { Chalk } from "chalk";
import { describe, expect, it } from "vitest";
import { formatBytes, formatCount, renderReport, renderTable } from "../../../src/cli/terminal/report.ts";

describe("report", () => {
  it("aligns labels, continuation lines and times", () => {
    const text = renderReport(
      [
        { mark: "done", label: "digest", text: ["v1 sha512", "9f3c"], seconds: 0.61 },
        { mark: "warning", label: "sub-second times", text: ["37 files"] },
        { mark: "info", label: "accepted by", text: ["bootc 1.16.4"] },
      ],
      new Chalk({ level: 0 }),
      null,
    );
    expect(text.split("\n")).toEqual([
      ` ✓ digest            v1 sha512${" ".repeat(57)}0.6 s`,
      "                     9f3c",
      " ! sub-second times  37 files",
      "   accepted by       bootc 1.16.4",
    ]);
  });

  const lines = (text: string, columns: number | null, seconds?: number) =>
    renderReport(
      [{ mark: "done", label: "digest", text: [text], ...(seconds === undefined ? {} : { seconds }) }],
      new Chalk({ level: 0 }),
      columns,
    ).split("\n");

  it("breaks lines between words where the terminal ends, and words that are longer in equal parts", () => {
    const words = "one two three four five six seven eight nine ten eleven twelve";
    expect(lines(words, 200)).toEqual([` ✓ digest            ${words}`]);
    expect(lines(words, 60)).toEqual([
      " ✓ digest            one two three four five six seven eight",
      "                     nine ten eleven twelve",
    ]);
    expect(lines("0123456789abcdef".repeat(4), 80)).toEqual([
      ` ✓ digest            ${"0123456789abcdef".repeat(2)}`,
      `                     ${"0123456789abcdef".repeat(2)}`,
    ]);
    for (const columns of [60, 80, 87, 120]) {
      for (const seconds of [undefined, 0.6, 100]) {
        for (const line of lines(`${words} ${words}`, columns, seconds)) {
          expect(line.length).toBeLessThanOrEqual(columns);
        }
      }
    }
    expect(lines("v1", 80, 0.6)).toEqual([` ✓ digest            v1${" ".repeat(52)}0.6 s`]);
  });

  it("stands below the labels on narrow terminals", () => {
    expect(lines("one two three four five six seven", 24, 0.6)).toEqual([
      " ✓ digest  0.6 s",
      "   one two three four",
      "   five six seven",
    ]);
  });

  it("colours cells that have their blanks, and leaves none at the end", () => {
    const rows = [
      ["a", "bb", "c"],
      ["aaa", "b", ""],
    ];
    expect(renderTable(rows, null, (cell, row, column) => `<${row}${column}${cell}>`)).toBe(
      "<00a  >  <01bb>  <02c>\n<10aaa>  <11b>",
    );
  });

  const wide = [
    ["✗", "skopeo", "is not there; it reads registries"],
    ["✓", "qemu", "11.0"],
  ];

  it("breaks the last column of a table that is too wide between words", () => {
    expect(renderTable(wide, 34, (cell, _, column) => (column === 0 ? `<${cell.trim()}>` : cell))).toBe(
      ["<✗>  skopeo  is not there; it reads", "           registries", "<✓>  qemu    11.0"].join("\n"),
    );
    expect(renderTable(wide, 80).split("\n")).toHaveLength(2);
  });

  it("gives up columns where they leave no room for words", () => {
    expect(renderTable(wide, 30, (cell, _, column) => (column === 0 ? `<${cell.trim()}>` : cell))).toBe(
      ["<✗>  skopeo  is not there;", "    it reads registries", "<✓>  qemu  11.0"].join("\n"),
    );
  });

  it("lets nothing from files start a line or talk to the terminal", () => {
    expect(lines("a\x1b[2J\nb\u202e", null)).toEqual([" ✓ digest            a\\x1b[2J\\x0ab\\u202e"]);
  });

  it("makes columns as wide as their widest cell and leaves no blanks at the end", () => {
    expect(
      renderTable(
        [
          ["a", "bb", "c"],
          ["aaa", "b", ""],
        ],
        null,
      ),
    ).toBe("a    bb  c\naaa  b");
    expect(
      renderTable(
        [
          ["日本", "x"],
          ["e\u0301→…", "y"],
          ["\u{1f600}", "z"],
        ],
        null,
      ),
    ).toBe("日本  x\ne\u0301→…   y\n\u{1f600}    z");
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
