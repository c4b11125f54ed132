/** docs/hosts.md against the seriesList of releases: its tables show every fact, and how it is known. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { LATEST_RELEASE, SERIES } from "../src/composefs/releases.ts";
import type { Evidence, Fact, Series } from "../src/composefs/series.ts";

const MARKS: Readonly<Record<Evidence, string>> = { run: "r", source: "s", inferred: "i" };
const WORDS = {
  composefs: "the first `composefs=`",
  "composefs.digest": "the first `composefs.digest=`, else the first `composefs=`",
  all: "all of both forms",
} as const;

type Column = readonly [heading: string, fact: Fact | null, cell: (series: Series) => string];

const COLUMNS: readonly (readonly Column[])[] = [
  [
    ["bootc", null, ({ name }) => name],
    ["composefs-rs", null, ({ composefs }) => composefs],
    ["digest of", "digest", ({ erofs }) => `EROFS ${erofs.toUpperCase()}`],
    ["the host compares", "reads", ({ reads }) => WORDS[reads]],
    ["its initramfs reads", "initramfs", ({ initramfs }) => WORDS[initramfs]],
  ],
  [
    ["bootc", null, ({ name }) => name],
    [
      "unpacks of a layer",
      "layers",
      ({ layers }) => (layers === "all" ? "all frames and members" : "the first frame or member"),
    ],
    ["needs in `.osrel`", "osrel", () => "UTF-8 with a name"],
    ["`/boot/aboot-*.img`", "aboot", ({ aboot }) => (aboot ? "refused next to a UKI" : "not looked at")],
    ["`?`", "mark", ({ mark }) => (mark === "binding" ? "on all or none, refused by strict hosts" : "a warning")],
    ["`status` knows", "status", ({ status }) => (status === "any" ? "both forms" : "`composefs=`")],
    ["insists on fs-verity", "verity", ({ verity }) => (verity === "insists" ? "always" : "not in every case")],
  ],
];

function table(columns: readonly Column[]): string {
  const rows = SERIES.map((series) =>
    columns.map(([, fact, cell]) => `${cell(series)}${fact === null ? "" : ` ^${MARKS[series.evidence[fact]]}`}`),
  );
  const all = [columns.map(([heading]) => heading), ...rows];
  const widths = columns.map((_, index) => Math.max(...all.map((row) => (row[index] ?? "").length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join(" | ")} |`;
  const [head = [], ...body] = all;
  return [line(head), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...body.map(line)].join("\n");
}

it.each(COLUMNS)("docs/hosts.md has the table of %s … as the seriesList say", (...columns) => {
  const page = readFileSync(new URL("../docs/hosts.md", import.meta.url), "utf8");
  const [, { 0: second } = [""]] = columns;
  const shown = page.split("\n\n").find((block) => block.startsWith("| bootc") && block.includes(second));
  expect(shown).toBe(table(columns));
});

it("docs/hosts.md names the newest release", () => {
  const page = readFileSync(new URL("../docs/hosts.md", import.meta.url), "utf8");
  expect(page).toContain(`\`latest\` is ${LATEST_RELEASE}`);
});
