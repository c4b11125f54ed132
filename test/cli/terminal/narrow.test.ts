/**
 * Tables on narrow terminals: all words are there, whole, and none is beyond the edge that could stand
 * on a line of its own.
 */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { displayWidth } from "../../../src/cli/terminal/width.ts";
import { seal } from "../../support/cli.ts";
import { certificateEsl } from "../../support/databases.ts";
import { makeUki, OS_RELEASE, signed } from "../../support/lint.ts";
import { tempDir } from "../../support/temp.ts";
import { vector } from "../../support/vectors.ts";

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

describe.each([30, 60])("what is shown of files on a terminal of %s columns", (columns) => {
  it.each([
    ["lint", "--list"],
    ["inspect", "uki.efi"],
    ["keys", "show", "db.crt"],
    ["keys", "show", "db.esl"],
    ["verify", "esp", "--db", "db.esl"],
    ["diff", "a", "b"],
  ])("seal %s %s %s", async (...args) => {
    const cwd = tempDir();
    const uki = await signed(makeUki({ cmdline: "quiet", osrel: OS_RELEASE }));
    writeFileSync(join(cwd, "uki.efi"), uki);
    writeFileSync(join(cwd, "db.crt"), vector("authenticode/keys/signer.crt"));
    writeFileSync(join(cwd, "db.esl"), certificateEsl("signer"));
    mkdirSync(join(cwd, "esp/EFI/Linux"), { recursive: true });
    writeFileSync(join(cwd, "esp/EFI/Linux/a-system-with-a-long-name.efi"), uki);
    for (const directory of ["a/boot", "a/sysroot", "a/usr", "b/boot", "b/sysroot", "b/usr"]) {
      mkdirSync(join(cwd, directory), { recursive: true });
    }
    symlinkSync("somewhere else altogether", join(cwd, "b/usr/a-link-with-a-long-name"));

    const wide = await seal([...args, "--no-color"], { cwd });
    const narrow = await seal([...args, "--no-color"], { cwd, columns });
    expect(narrow.code).toBe(wide.code);
    expect(wordsOf(narrow.stdout)).toEqual(wordsOf(wide.stdout));
    const beyond = (text: string) =>
      text.split("\n").reduce((sum, line) => sum + Math.max(displayWidth(line) - columns, 0), 0);
    expect(beyond(narrow.stdout)).toBeLessThan(beyond(wide.stdout));
  });
});
