/** The step of action.yml, run as GitHub's runner would run it: its inputs, and what it tells the runner. */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { seal } from "../support/cli.ts";
import { sha256 } from "../support/layout.ts";
import { INITRAMFS, KVER, UNSEALED } from "../support/lint.ts";
import { writeTree } from "../support/lint-tree.ts";
import { describeWith } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";
import type { MemoryFiles } from "../support/tree.ts";
import { vector } from "../support/vectors.ts";

const project = fileURLToPath(new URL("../..", import.meta.url));
const action = z
  .object({
    inputs: z.record(z.string(), z.object({ default: z.string().optional() })),
    outputs: z.record(z.string(), z.object({ value: z.string() })),
    runs: z.object({
      steps: z.tuple([
        z.object({ id: z.string(), shell: z.literal("bash"), run: z.string(), env: z.record(z.string(), z.string()) }),
      ]),
    }),
  })
  .parse(parse(readFileSync(join(project, "action.yml"), "utf8")));
const [step] = action.runs.steps;

const EFI = "usr/lib/systemd/boot/efi";
/** A system that lint finds nothing in once it is sealed. */
const SYSTEM: MemoryFiles = {
  ...UNSEALED,
  [`usr/lib/modules/${KVER}/vmlinuz`]: vector("uki/inputs/kernel"),
  [`usr/lib/modules/${KVER}/initramfs.img`]: INITRAMFS,
  [`${EFI}/linuxx64.efi.stub`]: vector("uki/inputs/stub-plain"),
  [`${EFI}/systemd-bootx64.efi`]: vector("uki/inputs/stub-plain"),
};
const key = vector("authenticode/keys/signer.key").toString();
const cert = vector("authenticode/keys/signer.crt").toString();

/** A directory with the system in `root`, and the program as one file. */
function workspace(more: MemoryFiles = {}): { cwd: string; program: string; given: Record<string, string> } {
  const cwd = tempDir();
  writeTree(join(cwd, "root"), { ...SYSTEM, ...more });
  mkdirSync(join(cwd, "temp"));
  const program = join(cwd, "seal-linux-x64");
  // It says what of the runner's secrets it was given.
  const script = `#!/bin/sh\n[ -z "\${INPUT_KEY+set}" ] || exit 99\nexec '${process.execPath}' '${join(project, "dist/cli/main.js")}' "$@"\n`;
  writeFileSync(program, script);
  chmodSync(program, 0o755);
  return { cwd, program, given: { image: "dir:root", to: "oci:out:sealed", key, cert, seal: program } };
}

/** Runs the step with these inputs, and the defaults of the others. */
function runStep(cwd: string, inputs: Readonly<Record<string, string>>) {
  const values = Object.entries(action.inputs).map(
    ([name, { default: otherwise = "" }]) => [name, inputs[name] ?? otherwise] as const,
  );
  const input = (text: string) => {
    const [, name = ""] = /^\$\{\{ inputs\.([a-z0-9-]+) \}\}$/.exec(text) ?? [];
    const found = values.find(([one]) => one === name);
    if (found === undefined) throw new Error(`no input: ${text}`);
    return found[1];
  };
  const file = (name: string) => join(cwd, name);
  const env = {
    PATH: process.env["PATH"],
    GITHUB_ACTION_PATH: project,
    GITHUB_OUTPUT: file("output"),
    GITHUB_STEP_SUMMARY: file("summary"),
    RUNNER_TEMP: file("temp"),
    ...Object.fromEntries(Object.entries(step.env).map(([name, text]) => [name, input(text)])),
  };
  // As the runner starts `shell: bash`.
  const bash = ["--noprofile", "--norc", "-eo", "pipefail", "-c", step.run];
  const { status, stdout, stderr } = spawnSync("bash", bash, { cwd, env, encoding: "utf8" });
  const read = (name: string) => (existsSync(file(name)) ? readFileSync(file(name), "utf8") : "");
  const lines = read("output").split("\n").slice(0, -1);
  const outputs = Object.fromEntries(lines.map((line) => [line.split("=")[0], line.replace(/^[^=]*=/, "")]));
  return { status, stdout, stderr, outputs, summary: read("summary"), commands: commandsIn(stdout) };
}

/** The lines that the runner takes for commands, but for those that make it take none. */
function commandsIn(log: string): string[] {
  let stopped: string | null = null;
  const commands: string[] = [];
  for (const line of log.split(/\r\n|\n|\r/)) {
    const text = line.trimStart();
    if (stopped !== null) {
      if (text === `::${stopped}::`) stopped = null;
    } else if (text.startsWith("::stop-commands::")) stopped = text.slice("::stop-commands::".length);
    else if (/^::|##\[/.test(text)) commands.push(text);
  }
  expect(stopped).toBeNull();
  return commands;
}

describeWith(["jq"], "the GitHub action", () => {
  it("seals, tells the digest, and leaves the key out of files and of the environment", async () => {
    const { cwd, given } = workspace();
    const { status, stdout, stderr, outputs, summary, commands } = runStep(cwd, given);
    expect(status, stdout + stderr).toBe(0);
    // What lint only tells.
    expect(commands.filter((command) => !command.startsWith("::notice "))).toEqual([]);
    const { manifests } = JSON.parse(readFileSync(join(cwd, "out/index.json"), "utf8"));
    expect(outputs["digest"]).toBe(manifests[0].digest);
    expect(Object.keys(outputs).sort()).toEqual(Object.keys(action.outputs).sort());
    expect(Object.entries(action.outputs).map(([name, { value }]) => [name, value])).toEqual(
      Object.keys(action.outputs).map((name) => [name, `\${{ steps.${step.id}.outputs.${name} }}`]),
    );
    expect(readFileSync(outputs["html"] ?? "", "utf8")).toMatch(/^<!doctype html>/i);
    expect(JSON.parse(readFileSync(outputs["sarif"] ?? "", "utf8")).runs[0].results).toHaveLength(commands.length);
    expect(summary).toContain("## Sealed\n");
    expect(summary).toContain(`| digest | ${outputs["digest"]} |`);
    writeFileSync(join(cwd, "db.crt"), cert);
    expect((await seal(["lint", "--sealed", "--cert", "db.crt", "oci:out:sealed"], { cwd })).code).toBe(0);
    const kept = spawnSync("grep", ["-rlF", key.split("\n")[1] ?? "", join(cwd, "temp")], { encoding: "utf8" });
    expect(kept.stdout).toBe("");
  });

  it("fails for findings, each an annotation and a row, whatever names files have", () => {
    const name = "a|<b>`\n::error::x";
    const { cwd, given } = workspace({ [`var/lib/${name}`]: "state" });
    const { status, commands, summary, outputs } = runStep(cwd, given);
    expect(status).toBe(1);
    const warnings = commands.filter((command) => command.includes("var/lib/"));
    expect(warnings.length).toBeGreaterThan(0);
    for (const warning of warnings) expect(warning).toMatch(/^::warning file=[^:,]*,title=seal%3A [a-z-]+::/);
    expect(commands.filter((command) => !/^::(warning|notice) file=/.test(command))).toEqual([]);
    const rows = summary.split("\n").filter((line) => line.startsWith("| warning"));
    expect(rows.length).toBe(commands.filter((command) => command.startsWith("::warning ")).length);
    for (const row of rows) expect(row).toMatch(/^\|([^|<`]*\|){4}$/);
    expect(summary).toContain("not fit to be released");
    expect(outputs["sarif"]).toBeDefined();
    expect(runStep(cwd, { ...given, to: "oci:again", "fatal-warnings": "false" }).status).toBe(0);
  });

  it("hands options on as words, never to a shell", () => {
    const { cwd, given } = workspace();
    const options = "--karg\nquiet; touch $(touch spoilt) `touch spoilt`\n";
    const image = runStep(cwd, { ...given, options });
    expect(image.status, image.stdout).toBe(0);
    expect(existsSync(join(cwd, "spoilt"))).toBe(false);
    expect(readFileSync(image.outputs["report"] ?? "", "utf8")).toContain("touch $(touch spoilt)");
  });

  it("runs the file of a release that has the checksum given, and nothing else", () => {
    const { cwd, program, given } = workspace();
    const release = { ...given, seal: "", release: program, sha256: sha256(readFileSync(program)) };
    expect(runStep(cwd, release).status).toBe(0);
    const other = "0".repeat(64);
    expect(runStep(cwd, { ...release, sha256: other })).toMatchObject({
      status: 2,
      commands: [`::error title=seal::${program}: its SHA-256 is ${release.sha256}, and not ${other}`],
    });
    for (const inputs of [
      { ...release, sha256: "" },
      { ...release, release: "" },
    ]) {
      expect(runStep(cwd, inputs).commands).toEqual([expect.stringContaining("release with its sha256 must be given")]);
    }
    expect(runStep(cwd, { ...release, release: "http://example.com/seal" }).commands).toEqual([
      "::error title=seal::http://example.com/seal: neither a path nor https",
    ]);
  });

  it("says why an image could not be sealed", () => {
    const { cwd, given } = workspace();
    const { status, commands, outputs } = runStep(cwd, { ...given, image: "oci:missing" });
    expect(status).toBeGreaterThan(1);
    expect(commands).toEqual([expect.stringMatching(/^::error title=seal::seal: .*missing/)]);
    expect(outputs).toEqual({});
  });
});
