/** Tables on narrow terminals: all words are there, whole, and none is beyond the edge that could stand on a line of its own. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { displayWidth } from "../../../src/cli/terminal/width.ts";
import { seal } from "../../support/cli.ts";
import { tempDir } from "../../support/temp.ts";

const wordsOf = (text: string) => text.split(/\s+/).filter((word) => word !== "" && word !== "\\");

describe.each([30, 40, 60, 80])("on a terminal of %s columns", (columns) => {
  it.each([
    ["doctor"],
    ["doctor", "boot-test"],
    ["config"],
    ["config", "rootfs"],
    ["config", "keys", "generate"],
    ["version", "--verbose"],
  ])("seal %s %s %s", async (...args) => {
    const cwd = tempDir();
    writeFileSync(join(cwd, "seal.toml"), 'cmdline = "console=ttyS0 quiet rw loglevel=3"\njobs = 3\n');
    const env = { PATH: cwd, SEAL_KEY: `${cwd}/a-directory-with-a-long-name/db.key` };
    const wide = await seal([...args, "--no-color"], { cwd, env });
    const narrow = await seal([...args, "--no-color"], { cwd, env, columns });
    expect(narrow.code).toBe(wide.code);
    expect(wordsOf(narrow.stdout)).toEqual(wordsOf(wide.stdout));
    const beyond = narrow.stdout.split("\n").filter((line) => displayWidth(line) > columns);
    // Of a word without blanks, and what belongs to it, nothing can be put below.
    expect(beyond.filter((line) => wordsOf(line).length > 1 && !/^ *\S{8,} \\$/.test(line))).toEqual([]);
  });
});
