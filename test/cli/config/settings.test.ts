import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { spellings } from "../../../src/cli/options/spelling.ts";
import { VERBS } from "../../../src/cli/verbs.ts";
import { seal } from "../../support/cli.ts";
import { tempDir } from "../../support/temp.ts";

/** What `seal sign` says that it can't read, of a key that is not there. */
async function keyOf(cwd: string, args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  writeFileSync(join(cwd, "x.efi"), "");
  const { stderr } = await seal(["sign", "x.efi", ...args], { cwd, env });
  return (
    stderr
      .split("\n")
      .at(-2)
      ?.replace(/^seal: (?:.*\/)?/, "") ?? ""
  );
}

describe("an option that is given in several places", () => {
  it("is what the command line says, else a variable, else the file", async () => {
    const cwd = tempDir();
    writeFileSync(join(cwd, "seal.toml"), 'key = "file.key"\n');
    const env = { SEAL_KEY: "variable.key" };
    expect(await keyOf(cwd, ["--key", "typed.key"], env)).toMatch(/^typed\.key: /);
    expect(await keyOf(cwd, [], env)).toMatch(/^variable\.key: /);
    expect(await keyOf(cwd, [], { SEAL_KEY: "" })).toMatch(/^file\.key: /);
  });

  it("takes what excludes it out of the way where that stands in a place that loses", async () => {
    const cwd = tempDir();
    writeFileSync(join(cwd, "seal.toml"), 'signer = "false"\nsigner-input = "data"\n');
    const config = ["--config", "seal.toml"];
    expect(await keyOf(cwd, [...config, "--key", "typed.key"])).toMatch(/^typed\.key: /);
    expect(await keyOf(cwd, config, { SEAL_KEY: "variable.key" })).toMatch(/^variable\.key: /);
    expect(await keyOf(cwd, [], { SEAL_KEY: "a", SEAL_SIGNER: "b" })).toBe(
      "SEAL_KEY and SEAL_SIGNER: give one of them",
    );
  });

  it("is called by its variable in messages", async () => {
    const result = await seal(["compute-digest", "."], { env: { SEAL_JOBS: "many" } });
    expect(result).toMatchObject({ code: 2, stderr: "seal: SEAL_JOBS: give a whole number from 1 to 1024\n" });
  });

  it("is one value of those that can be several", async () => {
    const { stderr } = await seal(["verify", "x.efi"], { cwd: tempDir(), env: { SEAL_CERT: "a b.crt" } });
    expect(stderr).toMatch(/a b\.crt: can't be read/);
  });
});

it("SEAL_CONFIG names a configuration, as --config does, and is not a reason to doubt it", async () => {
  const cwd = tempDir();
  writeFileSync(join(cwd, "other.toml"), 'signer = "false"\n');
  const env = { SEAL_CONFIG: "other.toml" };
  expect(await keyOf(cwd, [], env)).toMatch(/^--cert: --signer needs the signer's certificate/);
  expect(await keyOf(cwd, ["--config", "none.toml"], env)).toMatch(/^none\.toml: can't be read/);
});

it("the same options have a variable and the same risk in every verb", async () => {
  const known = new Map<string, unknown>();
  for (const { name: verb, load } of VERBS) {
    for (const { name, key, option } of spellings((await load()).options)) {
      const { env, risk } = option;
      const now = { env, risk: String(risk) };
      expect(known.get(name) ?? now, `${verb} --${name}`).toEqual(now);
      known.set(name, now);
      // A secret in a variable can be read by every program that is started.
      if (env) expect(key).not.toMatch(/passphrase$|pin|creds/i);
    }
  }
});
