import { describe, expect, it } from "vitest";
import { VERB_GROUPS, VERBS } from "../../src/cli/verbs.ts";
import { seal } from "../support/cli.ts";

describe("seal", () => {
  it("prints its version", async () => {
    const result = await seal(["--version"]);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it("answers a verb that does not exist with one line and exit code 2", async () => {
    const result = await seal(["frobnicate"]);
    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(result.stderr).toMatch(/^seal: .*\n$/);
  });

  it.each([
    [["frobnicate"], "seal --help"],
    [["sign", "--frobnicate"], "seal help sign"],
    [["keys", "esl"], "seal help keys esl"],
    [["keys", "frobnicate"], "seal help keys"],
  ])("points from %j to a page of help", async (args, page) => {
    expect((await seal(args)).stderr).toMatch(new RegExp(`[.?] See ${page}\\.\n$`));
  });

  it.each([
    [["help", "frobnicate"]],
    [["frobnicate", "--help"]],
    [["frobnicate", "-h"]],
    [["help", "keys", "frobnicate"]],
    [["keys", "frobnicate", "--help"]],
  ])("has no page of help for a verb that does not exist: %j", async (args) => {
    const result = await seal(args);
    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(result.stderr).toMatch(/^seal: unknown command 'frobnicate'/);
  });

  it.each([
    [[], "Usage: seal "],
    [["--help"], "Usage: seal "],
    [["help"], "Usage: seal "],
    [["--verbose"], "Usage: seal "],
    [["--"], "Usage: seal "],
    [["keys"], "Usage: seal keys "],
    [["keys", "--quiet"], "Usage: seal keys "],
    [["--no-color", "keys", "--"], "Usage: seal keys "],
    [["help", "keys"], "Usage: seal keys "],
    [["keys", "-h"], "Usage: seal keys "],
    [["help", "keys", "esl"], "Examples:\n  $ seal keys esl "],
    [["sign", "--help"], "Examples:\n  $ seal sign "],
  ])("has a page of help for %j", async (args, start) => {
    const result = await seal(args);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.stdout.startsWith(start)).toBe(true);
  });

  it.each(Object.keys(VERB_GROUPS))("lists the verbs that begin with %s, with what each does", async (group) => {
    const { stdout } = await seal([group], { columns: 200 });
    for (const { name, summary } of VERBS.filter((verb) => verb.name.startsWith(`${group} `))) {
      expect(stdout).toMatch(new RegExp(`^ +${name.slice(group.length + 1)} +${summary}$`, "m"));
    }
  });

  it.each([
    [["compute-digest", ".", "--erofs", "v3"], "--erofs: give one of v0, v1, v2"],
    [["keys", "generate", "--output", "x", "--type", "dsa"], "--type: give one of rsa2048, rsa3072, rsa4096"],
    [["lint", ".", "--format", "xml"], "--format: give one of text, json, sarif, junit"],
    [["compute-digest", ".", "--jobs", "0"], "--jobs: give a whole number from 1 to 1024"],
    [["compute-digest", ".", "--jobs", "x"], "--jobs: give a whole number from 1 to 1024"],
  ])("says what an option takes: %j", async (args, message) => {
    expect(await seal(args)).toMatchObject({ code: 2, stdout: "", stderr: `seal: ${message}\n` });
  });

  it("lets no name of a file start a line or talk to the terminal", async () => {
    const result = await seal(["inspect", "/no\nwarning: \x1b[2Jsuch \u009bfile"]);
    expect(result).toEqual({
      code: 3,
      stdout: "",
      stdoutBytes: Buffer.alloc(0),
      stderr: "seal: /no\\x0awarning: \\x1b[2Jsuch \\x9bfile: can't be read: no such file or directory\n",
    });
  });
});
