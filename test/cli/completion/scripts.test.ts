import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { VERBS } from "../../../src/cli/verbs.ts";
import { seal } from "../../support/cli.ts";
import { tempDir } from "../../support/temp.ts";

/** What bash would offer for a line whose last word is being typed. */
async function bashOffers(words: readonly string[]): Promise<string[]> {
  const script = join(tempDir(), "completion.bash");
  writeFileSync(script, (await seal(["completion", "bash"])).stdout);
  const line = `source ${script}; COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}; _seal; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const result = spawnSync("bash", ["--norc", "-c", line], { encoding: "utf8" });
  expect(result.stderr).toBe("");
  return result.stdout.split("\n").filter((word) => word !== "");
}

describe("completion", () => {
  it("offers every verb in bash", async () => {
    const offers = await bashOffers(["seal", ""]);
    for (const verb of VERBS) expect(offers).toContain(verb.name.split(" ")[0]);
  });

  it("offers the options of a verb in bash", async () => {
    expect(await bashOffers(["seal", "completion", "--"])).toContain("--no-color");
  });

  it.each(["bash", "zsh", "fish"])("writes a script for %s", async (shell) => {
    const result = await seal(["completion", shell]);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.stdout).toContain("seal");
  });

  it("refuses another shell with exit code 2", async () => {
    const result = await seal(["completion", "tcsh"]);
    expect(result.code).toBe(2);
    expect(result.stderr).toBe("seal: shell: give one of bash, zsh, fish\n");
  });
});
