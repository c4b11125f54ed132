import { describe, expect, it } from "vitest";
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
  ])("points from %j to a page of help", async (args, page) => {
    expect((await seal(args)).stderr).toMatch(new RegExp(`\\. See ${page}\\.\n$`));
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
