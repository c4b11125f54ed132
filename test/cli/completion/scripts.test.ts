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

  const groups = VERBS.filter(({ name }) => name.includes(" ")).map(({ name }) => name.split(" "));

  it("offers the verbs of a group in bash, behind help and config too, and verbs behind config", async () => {
    const keys = groups.filter(([group]) => group === "keys").map(([, verb]) => verb);
    expect(keys.length).toBeGreaterThan(3);
    for (const before of [[], ["help"], ["config"]]) {
      expect(await bashOffers(["seal", ...before, "keys", ""])).toEqual(keys);
    }
    const names = new Set(VERBS.map(({ name }) => name.split(" ")[0]));
    expect(await bashOffers(["seal", "config", ""])).toEqual([...names]);
    expect(await bashOffers(["seal", "config", "ver"])).toEqual(["verify", "verify-attestation", "version"]);
    expect(await bashOffers(["seal", "config", "--"])).toContain("--schema");
  });

  it("offers the words that an argument can be in bash, and files where others are files", async () => {
    expect(await bashOffers(["seal", "completion", ""])).toEqual(["bash", "zsh", "fish"]);
    expect(await bashOffers(["seal", "doctor", "boot-"])).toContain("boot-test");
    expect(await bashOffers(["seal", "doctor", join(import.meta.dirname, "scr")])).toEqual([import.meta.filename]);
  });

  it("offers the same in fish", async () => {
    const lines = (await seal(["completion", "fish"])).stdout.split("\n");
    const verbs = [...new Set(VERBS.map(({ name }) => name.split(" ")[0]))];
    expect(lines).toContain(`complete -c seal -f -n '__fish_seen_subcommand_from config' -a '${verbs.join(" ")}'`);
    expect(lines).toContain("complete -c seal -f -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'");
    for (const [group, verb] of groups) {
      expect(lines).toContainEqual(
        expect.stringContaining(`complete -c seal -f -n '__fish_seen_subcommand_from ${group}' -a ${verb} -d '`),
      );
    }
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
