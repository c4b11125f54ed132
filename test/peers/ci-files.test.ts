/**
 * The CI examples and the action by the programs that know their formats: actionlint, and the published schemas that
 * check-jsonschema brings.
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { describeWith, findPeer, type Peer, runPeer } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";

const inProject = (file: string) => fileURLToPath(new URL(`../../${file}`, import.meta.url));

const CHECKS: readonly { peer: Peer; args: readonly string[]; file: string; spoil: readonly [string, string] }[] = [
  {
    peer: "actionlint",
    args: ["-no-color"],
    file: "examples/ci/github-actions/seal.yml",
    // A step that reads what no context has.
    spoil: ["secrets.DB_KEY", "secret.DB_KEY"],
  },
  {
    peer: "check-jsonschema",
    args: ["--builtin-schema", "vendor.github-workflows"],
    file: "examples/ci/github-actions/seal.yml",
    spoil: ["runs-on:", "run-on:"],
  },
  {
    peer: "check-jsonschema",
    args: ["--builtin-schema", "vendor.github-workflows"],
    file: "examples/ci/github-actions/one-step.yml",
    spoil: ["runs-on:", "run-on:"],
  },
  {
    // With shellcheck, for what its steps run.
    peer: "actionlint",
    args: ["-no-color", "-shellcheck", findPeer("shellcheck") ?? ""],
    file: ".github/workflows/release.yml",
    spoil: ['"$GITHUB_REF_NAME" --verify-tag', "$GITHUB_REF_NAME --verify-tag"],
  },
  {
    peer: "check-jsonschema",
    args: ["--builtin-schema", "vendor.github-workflows"],
    file: ".github/workflows/release.yml",
    spoil: ["runs-on:", "run-on:"],
  },
  {
    peer: "check-jsonschema",
    args: ["--builtin-schema", "vendor.dependabot"],
    file: ".github/dependabot.yml",
    spoil: ["interval:", "intervall:"],
  },
  {
    peer: "check-jsonschema",
    args: ["--builtin-schema", "vendor.github-actions"],
    file: "action.yml",
    spoil: ["shell: bash", "shel: bash"],
  },
  {
    peer: "check-jsonschema",
    args: ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"],
    file: "examples/ci/gitlab/.gitlab-ci.yml",
    spoil: ["expire_in:", "expires_in:"],
  },
];

describeWith(["actionlint", "check-jsonschema", "shellcheck"], "the CI examples", () => {
  it.each(CHECKS)("$peer accepts $file, and refuses it with a mistake in it", ({ peer, args, file, spoil }) => {
    const path = inProject(file);
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

  it("actionlint knows the action's inputs and outputs, and finds one that it has not", () => {
    const repository = tempDir();
    // What it takes for a repository, with the action in it: it does not ask a server for what others have.
    mkdirSync(join(repository, ".git"));
    mkdirSync(join(repository, ".github/workflows"), { recursive: true });
    mkdirSync(join(repository, "seal"));
    copyFileSync(inProject("action.yml"), join(repository, "seal/action.yml"));
    const text = readFileSync(inProject("examples/ci/github-actions/one-step.yml"), "utf8");
    const judge = (workflow: string) => {
      const file = join(repository, ".github/workflows/seal.yml");
      writeFileSync(file, workflow.replace("uses: example/seal@v0.2.0", "uses: ./seal"));
      const { status, stdout, stderr } = runPeer("actionlint", ["-no-color"], { cwd: repository });
      return { status, output: `${stdout}${stderr}` };
    };
    expect(judge(text)).toEqual({ status: 0, output: "" });
    expect(judge(text.replace("image: oci", "img: oci")).output).toContain('input "img" is not defined');
    expect(judge(text.replaceAll("outputs.sarif", "outputs.sarf")).output).toContain('property "sarf" is not defined');
  });

  it("shellcheck finds nothing in the script of the action", () => {
    const { status, stdout } = runPeer("shellcheck", [inProject("scripts/action/seal")]);
    expect(stdout.toString()).toBe("");
    expect(status).toBe(0);
  });
});
