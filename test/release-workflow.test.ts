/** The workflows of the project and of the examples: what they run of others, and what the jobs of a release may do. */
import { spawnSync } from "node:child_process";
import { copyFileSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { tempDir } from "./support/temp.ts";

const project = fileURLToPath(new URL("..", import.meta.url));
const read = (name: string) => readFileSync(join(project, name), "utf8");
const workflows = [".github/workflows", "examples/ci/github-actions"].flatMap((directory) =>
  readdirSync(join(project, directory))
    .filter((name) => name.endsWith(".yml"))
    .map((name) => `${directory}/${name}`),
);

const release = z
  .object({
    permissions: z.object({}).strict(),
    jobs: z.record(
      z.string(),
      z.object({
        permissions: z.record(z.string(), z.enum(["read", "write"])),
        steps: z.array(z.object({ name: z.string().optional(), run: z.string().optional() })),
      }),
    ),
  })
  .parse(parse(read(".github/workflows/release.yml")));
const scriptsOf = (job: string) => release.jobs[job]?.steps.flatMap(({ run }) => run ?? []) ?? [];

describe("workflows", () => {
  it("take each action by one commit everywhere, with its version behind it", () => {
    const pins = new Map<string, Set<string>>();
    for (const text of workflows.map(read)) {
      for (const [, action = "", pin = ""] of text.matchAll(/uses: ([^@\n]+)@(.*)$/gm)) {
        if (action === "example/seal") continue;
        expect(pin).toMatch(/^[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
        pins.set(action, (pins.get(action) ?? new Set()).add(pin));
      }
    }
    expect(pins.size).toBeGreaterThan(5);
    for (const [action, found] of pins) expect([...found], action).toHaveLength(1);
  });

  it("put nothing into scripts: what they need is in the environment", () => {
    for (const script of Object.keys(release.jobs).flatMap(scriptsOf)) expect(script).not.toContain("${{");
  });
});

describe("the release", () => {
  it("lets no job sign or publish that runs what npm and Go bring", () => {
    for (const [name, { permissions }] of Object.entries(release.jobs)) {
      if (!scriptsOf(name).some((script) => /\b(npm|go) (ci|install|run|test)\b/.test(script))) continue;
      expect(permissions, name).toEqual({ contents: "read" });
    }
    const writing = Object.entries(release.jobs).filter(([, { permissions }]) => permissions["contents"] === "write");
    expect(writing.map(([name]) => name)).toEqual(["publish"]);
  });

  it("calls scripts that there are, and packs what the tools image is built from", () => {
    const { scripts } = z.object({ scripts: z.record(z.string(), z.string()) }).parse(JSON.parse(read("package.json")));
    const called = [...read(".github/workflows/release.yml").matchAll(/npm run ([a-z:]+)/g)].map(
      ([, name = ""]) => name,
    );
    expect(new Set(called)).toEqual(new Set(["dist", "bundle"]));
    for (const name of called) expect(scripts[name]).toBeDefined();
  });

  it("is of the version that package.json has", () => {
    const [check = ""] = scriptsOf("files").filter((script) => script.includes("package.json"));
    const { version } = JSON.parse(read("package.json")) as { version: string };
    // jq as far as it is needed, where it is not installed.
    const prelude = `jq() { printf '%s\\n' '${version}'; }\n`;
    const run = (tag: string) =>
      spawnSync("bash", ["-eo", "pipefail", "-c", prelude + check], {
        cwd: project,
        env: { PATH: process.env["PATH"], GITHUB_REF_NAME: tag },
        encoding: "utf8",
      });
    expect(run(`v${version}`).status).toBe(0);
    const other = run("v99.0.0");
    expect(other.status).toBe(1);
    expect(other.stdout).toBe(`::error::the tag is v99.0.0, and package.json has ${version}\n`);
  });

  it("has the section of CHANGELOG.md as its notes", () => {
    const [write = ""] = scriptsOf("files").filter((script) => script.includes("CHANGELOG.md"));
    const notesOf = (tag: string) => {
      const cwd = tempDir();
      copyFileSync(join(project, "CHANGELOG.md"), join(cwd, "CHANGELOG.md"));
      const place = { GITHUB_SERVER_URL: "https://git.example", GITHUB_REPOSITORY: "os/seal", GITHUB_REF_NAME: tag };
      const { PATH } = process.env;
      const { status } = spawnSync("bash", ["-eo", "pipefail", "-c", write], { cwd, env: { PATH, ...place } });
      return { status, notes: readFileSync(join(cwd, "notes.md"), "utf8") };
    };
    const { status, notes } = notesOf("v0.2.0");
    expect(status).toBe(0);
    expect(notes).toMatch(/^\n2026-11-30\n/);
    expect(notes).toContain("### If you sealed with 0.1");
    expect(notes).toContain("(https://git.example/os/seal/blob/v0.2.0/docs/hosts.md#");
    expect(notes).not.toMatch(/^## |]\(docs\//m);
    expect(notesOf("v99.0.0")).toEqual({ status: 1, notes: "" });
    expect(scriptsOf("publish").join("")).toContain("--notes-file notes.md");
  });
});
