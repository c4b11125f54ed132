/** The CI examples by the programs that know their formats: actionlint, and the published schemas that check-jsonschema brings. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { describeWith, type Peer, runPeer } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";

const CHECKS: readonly { peer: Peer; args: readonly string[]; file: string; spoil: readonly [string, string] }[] = [
  {
    peer: "actionlint",
    args: ["-no-color"],
    file: "github-actions/seal.yml",
    // A step that reads what no context has.
    spoil: ["secrets.DB_KEY", "secret.DB_KEY"],
  },
  {
    peer: "check-jsonschema",
    args: ["--builtin-schema", "vendor.github-workflows"],
    file: "github-actions/seal.yml",
    spoil: ["runs-on:", "run-on:"],
  },
  {
    peer: "check-jsonschema",
    args: ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"],
    file: "gitlab/.gitlab-ci.yml",
    spoil: ["expire_in:", "expires_in:"],
  },
];

describeWith(["actionlint", "check-jsonschema"], "the CI examples", () => {
  it.each(CHECKS)("$peer accepts $file, and refuses it with a mistake in it", ({ peer, args, file, spoil }) => {
    const path = fileURLToPath(new URL(`../../examples/ci/${file}`, import.meta.url));
    const judge = (name: string) => {
      const { status, stdout, stderr } = runPeer(peer, [...args, name]);
      return { status, output: `${stdout}${stderr}` };
    };
    const sound = judge(path);
    expect(sound.status, sound.output).toBe(0);
    const text = readFileSync(path, "utf8");
    const spoilt = join(tempDir(), "spoilt.yml");
    writeFileSync(spoilt, text.replaceAll(...spoil));
    expect(readFileSync(spoilt, "utf8")).not.toBe(text);
    expect(judge(spoilt).status).toBe(1);
  });
});
