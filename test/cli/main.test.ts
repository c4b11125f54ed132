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
});
