import { spawnSync } from "node:child_process";
import { createHash, randomFillSync } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { VERBS } from "../../src/cli/verbs.ts";
import { seal } from "../support/cli.ts";
import { writeLayout } from "../support/layout.ts";
import { withoutSteps } from "../support/steps.ts";
import { tarArchive, tarDirectory, tarFile } from "../support/tar.ts";
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
        "dist/seal.schema.json",
      ]),
    );
    expect(paths.filter((path) => /^(src|test|bench|examples|docs)\//.test(path))).toEqual([]);
    // Types of internal modules could be imported, and would then have to stay as they are.
    expect(paths.filter((path) => /\.d\.[cm]?ts$/.test(path))).toEqual(["dist/index.d.ts"]);
  });

  it("has types that a program compiles with, checked too", () => {
    const directory = tempDir();
    mkdirSync(join(directory, "node_modules"));
    symlinkSync(project, join(directory, "node_modules/seal"));
    symlinkSync(join(project, "node_modules/@types"), join(directory, "node_modules/@types"));
    writeFileSync(join(directory, "package.json"), '{ "type": "module" }');
    const compilerOptions = { strict: true, skipLibCheck: false, noEmit: true, module: "nodenext", types: ["node"] };
    writeFileSync(join(directory, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
    const compile = (source: string) => {
      writeFileSync(join(directory, "program.ts"), source);
      const tsc = join(project, "node_modules/typescript/bin/tsc");
      return spawnSync(process.execPath, [tsc, "-p", "."], { cwd: directory, encoding: "utf8" });
    };
    const program = 'import { planDigest } from "seal";\nexport const jobs: number | undefined = planDigest().jobs;\n';
    expect(compile(program)).toMatchObject({ status: 0, stdout: "" });
    expect(compile(program.replace("number | ", "")).stdout).toMatch(/^program\.ts\(2,14\): error TS2322: /);
  });

  it("installs a program named seal that runs through its symlink, with its man pages", () => {
    const prefix = tempDir();
    npm(["install", "--global", "--prefix", prefix, "--ignore-scripts", "."]);
    const result = spawnSync(join(prefix, "bin/seal"), ["--version"], { env, encoding: "utf8" });
    const { version } = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as { version: string };
    expect(result).toMatchObject({ status: 0, stdout: `${version}\n`, stderr: "" });
    expect(readFileSync(join(prefix, "share/man/man1/seal-sign.1"), "utf8")).toContain("seal sign");
    expect(existsSync(join(prefix, "share/man/man5/seal.toml.5"))).toBe(true);
  });

  it("says in one line which node it needs, on every older one and no other", () => {
    const { engines } = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as {
      engines: { node: string };
    };
    const oldest = engines.node.replace(">=", "");
    const directory = tempDir();
    const start = (version: string) => {
      const pretend = join(directory, `${version}.cjs`);
      writeFileSync(pretend, `Object.defineProperty(process, "versions", { value: { node: "${version}" } });`);
      const args = ["--require", pretend, join(project, "dist/cli/main.js"), "--version"];
      return spawnSync(process.execPath, args, { env, encoding: "utf8" });
    };
    for (const version of ["18.20.8", "20.20.2", "22.11.0"]) {
      const stderr = `seal: needs Node ${oldest} or newer; ${process.execPath} is Node ${version}\n`;
      expect(start(version), version).toMatchObject({ status: 2, stdout: "", stderr });
    }
    for (const version of [`${oldest}.0`, "22.20.1", "24.0.0"]) {
      expect(start(version), version).toMatchObject({ status: 0, stderr: "" });
    }
  });

  it("does what the sources do: digests on several threads, UKIs, signatures", async () => {
    const directory = tempDir();
    mkdirSync(join(directory, "tree/usr"), { recursive: true });
    // Enough to start threads for: small files, and large ones on their own.
    for (let index = 0; index < 200; index++)
      writeFileSync(join(directory, `tree/usr/${index}`), `${index}`.repeat(100));
    for (const name of ["a", "b", "c"])
      writeFileSync(join(directory, `tree/usr/${name}`), randomFillSync(new Uint8Array(10 << 20)));
    const path = (name: string) => join(project, "test/vectors/uki/inputs", name);
    const key = ["--key", path("db2048.key"), "--cert", path("db2048.crt")];
    const verbs = [
      ["compute-digest", "tree", "--transform", "none", "--jobs", "3"],
      ["build-uki", "--linux", path("kernel"), "--stub", path("stub-wide"), "--os-release", "ID=x", "-o", "uki.efi"],
      ["sign", "uki.efi", ...key, "-o", "signed.efi"],
      ["verify", "signed.efi", "--cert", path("db2048.crt"), "--json"],
    ];
    const results = () =>
      ["uki.efi", "signed.efi"]
        .map((name) => join(directory, name))
        .filter((file) => existsSync(file))
        .map((file) => readFileSync(file, "hex"));
    for (const args of verbs) {
      const built = spawnSync(process.execPath, [join(project, "dist/cli/main.js"), ...args], {
        cwd: directory,
        encoding: "utf8",
      });
      const files = results();
      const fromSources = await seal(args, { cwd: directory });
      expect({ ...built, stderr: withoutSteps(built.stderr) }).toMatchObject({
        status: 0,
        stdout: fromSources.stdout,
        stderr: fromSources.stderr,
      });
      expect(files).toEqual(results());
    }
  });

  it.each(VERBS.map(({ name }) => name))("loads what %s needs", async (verb) => {
    const main = join(project, "dist/cli/main.js");
    const built = spawnSync(process.execPath, [main, ...verb.split(" "), "--help"], { encoding: "utf8" });
    const fromSources = await seal([...verb.split(" "), "--help"]);
    expect(built).toMatchObject({ status: 0, stdout: fromSources.stdout, stderr: "" });
  });

  it("starts with the code that was kept for this node, and does without it", () => {
    const directory = tempDir();
    cpSync(join(project, "dist/cli"), join(directory, "dist/cli"), { recursive: true });
    cpSync(join(project, "node_modules/koffi"), join(directory, "node_modules/koffi"), { recursive: true });
    const main = join(directory, "dist/cli/main.js");
    const [file = ""] = readdirSync(dirname(main)).filter((name) => name.endsWith(".code"));
    const rejected = `import { codeIn, inDirectory, loader } from ${JSON.stringify(join(project, "scripts/loader.ts"))};
      const directory = ${JSON.stringify(dirname(main))};
      const { load, scripts } = loader(inDirectory(directory), codeIn(directory));
      load("./program.js");
      console.log([...scripts.values()].map((script) => script.cachedDataRejected));`;
    const shown = spawnSync(process.execPath, ["--input-type=module", "-e", rejected], { encoding: "utf8" });
    expect(shown).toMatchObject({ stdout: expect.stringMatching(/^\[ false(, false)* \]\n$/), stderr: "" });

    const answers = [
      () => {},
      () => truncateSync(join(dirname(main), file), 1000),
      () => rmSync(join(dirname(main), file)),
    ].map((change) => {
      change();
      return spawnSync(process.execPath, [main, "compute-digest", "missing"], { cwd: directory, encoding: "utf8" });
    });
    for (const { status, stderr } of answers) {
      expect({ status, stderr }).toEqual({ status: 3, stderr: expect.stringMatching(/missing: can't be read/) });
    }
  });

  it.each([
    ["a small image", 1000, false],
    ["a larger one", 6 << 20, true],
  ])("reads %s, with native code only where that is worth loading", (_, size, isNative) => {
    const directory = tempDir();
    const layers = [tarFile("large", randomFillSync(Buffer.alloc(size))), tarFile("small", Buffer.from("small"))];
    writeLayout(
      join(directory, "image"),
      layers.map((member) => tarArchive(tarDirectory("usr"), member)),
    );
    writeFileSync(
      join(directory, "note.cjs"),
      `const { dlopen } = process;
       process.dlopen = (...args) => {
         require("node:fs").writeSync(1, "native ");
         return dlopen.apply(process, args);
       };`,
    );
    const args = [
      join(project, "dist/cli/main.js"),
      "compute-digest",
      "oci:image",
      "--transform",
      "oci",
      "--jobs",
      "1",
    ];
    const run = spawnSync(process.execPath, ["--require", "./note.cjs", ...args], { cwd: directory, encoding: "utf8" });
    expect(run).toMatchObject({ status: 0, stdout: expect.stringMatching(/^(native )?[0-9a-f]{128}\n$/) });
    expect(run.stdout.startsWith("native")).toBe(isNative);
  });

  it("does not end as if all were well when an answer never comes", () => {
    const directory = tempDir();
    // Node ends when nothing is left to wait for.
    writeFileSync(join(directory, "never.cjs"), 'require("node:fs/promises").stat = () => new Promise(() => {});');
    const args = ["--require", "./never.cjs", join(project, "dist/cli/main.js"), "compute-digest", "oci:image"];
    const { status, stderr } = spawnSync(process.execPath, args, { cwd: directory, encoding: "utf8" });
    expect([status, stderr]).toEqual([70, expect.stringMatching(/^seal: internal error: ended without a result\. /)]);
  });

  it("brings the schema of seal.toml, as the program prints it", async () => {
    const schema = readFileSync(join(project, "dist/seal.schema.json"), "utf8");
    expect(schema).toBe((await seal(["config", "--schema"])).stdout);
  });

  it("keeps the same code of the same program", () => {
    const [name = ""] = readdirSync(join(project, "dist/cli")).filter((file) => file.endsWith(".code"));
    const kept = () =>
      createHash("sha256")
        .update(readFileSync(join(copy, "dist/cli", name)))
        .digest("hex");
    // Elsewhere, too: no path of this machine is in it.
    const copy = tempDir();
    for (const part of ["dist/cli", "scripts", "src", "test/vectors/uki/inputs", "test/vectors/oci", "package.json"]) {
      cpSync(join(project, part), join(copy, part), { recursive: true });
    }
    symlinkSync(join(project, "node_modules"), join(copy, "node_modules"));
    const first = kept();
    rmSync(join(copy, "dist/cli", name));
    const again = spawnSync(process.execPath, [join(copy, "scripts/keep-code.ts"), join(copy, "dist/cli")], {
      env,
      encoding: "utf8",
    });
    expect(again).toMatchObject({ status: 0, stderr: "" });
    expect(kept()).toBe(first);
  });

  it("can be imported", async () => {
    const library = (await import(join(project, "dist/index.js"))) as Record<string, unknown>;
    const sources = await import("../../src/index.ts");
    expect(Object.keys(library).sort()).toEqual(Object.keys(sources).sort());
  });

  it("carries the licences of what is bundled", () => {
    const licenses = readFileSync(join(project, "dist/THIRD-PARTY-LICENSES.txt"), "utf8");
    for (const name of ["chalk", "commander", "pe-library", "smol-toml", "zod"]) {
      expect(licenses).toMatch(new RegExp(`^${name}\n\n`, "m"));
    }
  });

  it("records no download addresses in the lock file", () => {
    expect(readFileSync(join(project, "package-lock.json"), "utf8")).not.toContain('"resolved": "http');
  });
});
