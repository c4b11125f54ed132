/** Help pages at any width. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { VERBS } from "../../../src/cli/verbs.ts";
import { seal } from "../../support/cli.ts";

const PROGRAM = fileURLToPath(new URL("../../../src/cli/main.ts", import.meta.url));

describe.each([40, 60, 80, 100, 200])("a help page of %s columns", (columns) => {
  it("has no word that the terminal would have to break", async () => {
    for (const args of [["--help"], ...VERBS.map(({ name }) => ["help", ...name.split(" ")])]) {
      const { stdout } = await seal(args, { columns });
      const lines = stdout.split("\n");
      // What is typed can't be broken, and a term may be longer than a narrow terminal.
      const text = lines.filter((line) => !/^ {2}\$ seal|^Usage: |^ {2}\S+(?: \S+)*$/.test(line));
      expect(text.filter((line) => line.length > columns && line.trim().includes(" "))).toEqual([]);
    }
  });
});

it("options that must be given stand first, and in the line of usage", async () => {
  const { stdout } = await seal(["help", "keys", "auth"], { columns: 100 });
  expect(stdout).toContain("\nUsage: seal keys auth --output <file> [options] <variable> [file...]\n");
  expect(stdout.indexOf("Required:\n  -o, --output <file>")).toBeGreaterThan(0);
  expect(stdout.indexOf("Required:")).toBeLessThan(stdout.indexOf("Signing:"));
});

it("a terminal that says that it has no columns has 80", () => {
  const command = `stty cols 0 rows 0; exec "${process.execPath}" "${PROGRAM}" help sign`;
  const { status, stdout } = spawnSync("script", ["-qec", command, "/dev/null"], { encoding: "utf8" });
  expect(status).toBe(0);
  const widths = stdout
    .split(/\r?\n/)
    .filter((line) => !line.includes("$ seal"))
    .map((line) => line.length);
  expect(Math.max(...widths)).toBeGreaterThan(60);
  expect(Math.max(...widths)).toBeLessThanOrEqual(80);
});
