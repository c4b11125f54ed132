import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { tempDir } from "../support/temp.ts";

const project = fileURLToPath(new URL("../..", import.meta.url));
// npm and the installed program find the node that runs the tests.
const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env["PATH"]}` };

function npm(args: readonly string[], cwd = project): string {
  const result = spawnSync("npm", [...args], { cwd, env, encoding: "utf8" });
  expect(result.status, result.stderr).toBe(0);
  return result.stdout;
}

describe("the package", () => {
  beforeAll(() => {
    // `npm test` has built it; a test that is run alone builds it here.
    if (!existsSync(join(project, "dist/index.js"))) npm(["run", "--silent", "build"]);
  });

  it("holds the built program with its types and nothing of the sources", () => {
    const [packed] = JSON.parse(npm(["pack", "--dry-run", "--json", "--ignore-scripts"])) as [
      { files: { path: string }[] },
    ];
    const paths = packed.files.map((file) => file.path);
    expect(paths).toEqual(
      expect.arrayContaining([
        "package.json",
        "README.md",
        "LICENSE",
        "dist/cli/main.js",
        "dist/index.js",
        "dist/index.d.ts",
      ]),
    );
    expect(paths.filter((path) => /^(src|test|bench|examples|docs)\//.test(path))).toEqual([]);
  });

  it("installs a program named seal that runs through its symlink", () => {
    const prefix = tempDir();
    npm(["install", "--global", "--prefix", prefix, "--ignore-scripts", "."]);
    const result = spawnSync(join(prefix, "bin/seal"), ["--version"], { env, encoding: "utf8" });
    const { version } = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as { version: string };
    expect(result).toMatchObject({ status: 0, stdout: `${version}\n`, stderr: "" });
  });

  it("records no download addresses in the lock file", () => {
    expect(readFileSync(join(project, "package-lock.json"), "utf8")).not.toContain('"resolved": "http');
  });
});
