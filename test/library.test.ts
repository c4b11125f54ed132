/** docs/library.md and the examples in the sources, as a program outside of the project has them: compiled, and run. */
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { writeSampleTree } from "../examples/demo/sample-tree.ts";
import { seal } from "./support/cli.ts";
import { examplesIn } from "./support/examples.ts";
import { writeLayout } from "./support/layout.ts";
import { sealableLayers } from "./support/sealable.ts";
import { tempDir } from "./support/temp.ts";
import { vector } from "./support/vectors.ts";

const project = fileURLToPath(new URL("..", import.meta.url));
const source = (name: string) => readFileSync(join(project, "src", name), "utf8");

/** Examples that need more than files run nowhere: they are compiled. */
const COMPILED_ONLY = ["signedBy", "stateImages", "verifyImages"];

/** The pieces of code of the page: one program. */
const page = [...readFileSync(join(project, "docs/library.md"), "utf8").matchAll(/^```ts\n(.*?)^```$/gms)].map(
  ([, code = ""]) => code,
);
const examples = readdirSync(join(project, "src"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .flatMap((name) => examplesIn(source(name)));

/** A directory where `seal` is the built package, with the files that the programs read. */
function workplace(): string {
  const directory = tempDir();
  mkdirSync(join(directory, "node_modules"));
  symlinkSync(project, join(directory, "node_modules/seal"));
  symlinkSync(join(project, "node_modules/@types"), join(directory, "node_modules/@types"));
  writeFileSync(join(directory, "package.json"), '{ "type": "module" }');
  writeSampleTree(join(directory, "root"));
  writeLayout(join(directory, "image"), sealableLayers());
  for (const name of ["db.key", "db.crt"]) {
    writeFileSync(join(directory, name), vector(`authenticode/keys/${name.replace("db", "signer")}`));
  }
  const files = {
    "linuxx64.efi.stub": "usr/lib/systemd/boot/efi/linuxx64.efi.stub",
    "tool.efi": "usr/lib/systemd/boot/efi/systemd-bootx64.efi",
    vmlinuz: "usr/lib/modules/6.1.0-sample/vmlinuz",
    "initrd.img": "usr/lib/modules/6.1.0-sample/initramfs.img",
    "os-release": "usr/lib/os-release",
  };
  for (const [name, path] of Object.entries(files)) copyFileSync(join(directory, "root", path), join(directory, name));
  return directory;
}

describe("the library, from outside", () => {
  /** Runs code as a program of its own. */
  const run = (directory: string, code: string) => {
    const file = join(directory, "program.ts");
    writeFileSync(file, code);
    return spawnSync(process.execPath, [file], { cwd: directory, encoding: "utf8" });
  };

  beforeAll(() => {
    // `npm test` has built it; a test that is run alone builds it here.
    if (existsSync(join(project, "dist/index.js"))) return;
    const built = spawnSync("npm", ["run", "--silent", "build"], { cwd: project, encoding: "utf8" });
    if (built.status !== 0) throw new Error(built.stderr);
  });

  it("is what docs/library.md and the examples of the sources are written for", () => {
    const directory = workplace();
    writeFileSync(join(directory, "page.ts"), page.join("\n"));
    for (const { name, code } of examples) writeFileSync(join(directory, `${name}.ts`), code);
    const strict = { strict: true, noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: true };
    const compilerOptions = {
      ...{ ...strict, skipLibCheck: false, noEmit: true },
      ...{ target: "es2023", module: "nodenext", types: ["node"] },
    };
    writeFileSync(join(directory, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
    const tsc = join(project, "node_modules/typescript/bin/tsc");
    const compiled = spawnSync(process.execPath, [tsc, "-p", "."], { cwd: directory, encoding: "utf8" });
    expect(compiled.stdout).toBe("");
    expect(compiled.status).toBe(0);
  });

  it("seals in twelve lines", async () => {
    const directory = workplace();
    const [first = ""] = page;
    expect(first.trimEnd().split("\n").filter(Boolean)).toHaveLength(12);
    expect(run(directory, first)).toMatchObject({ status: 0, stderr: "", stdout: "" });
    const files = readdirSync(join(directory, "out"), { recursive: true, encoding: "utf8" });
    expect(files).toEqual(expect.arrayContaining(["boot/EFI/BOOT/BOOTX64.EFI", "boot/EFI/Linux/6.1.0-sample.efi"]));
    const command = ["rootfs", "root", "--key", "db.key", "--cert", "db.crt", "--output", "command"];
    expect(await seal(command, { cwd: directory })).toMatchObject({ code: 0 });
    const uki = (place: string) => readFileSync(join(directory, place, "boot/EFI/Linux/6.1.0-sample.efi"));
    expect(uki("out").equals(uki("command"))).toBe(true);
  });

  it("does all that the page shows", () => {
    const { status, stdout, stderr } = run(workplace(), page.join("\n"));
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(/^not by 1\./m);
    expect(stdout).toMatch(/^v1 [0-9a-f]{128}\nv2 [0-9a-f]{128}$/m);
    expect(stdout).toMatch(/^trusted CN=/m);
    expect(stdout).toMatch(/^console=ttyS0\nenter-initrd [0-9a-f]{64}$/m);
    expect(stdout).toMatch(/^input text\.efi: /m);
  });

  it("has examples of its main functions", () => {
    expect(examples.map(({ name }) => name).toSorted()).toEqual(
      [
        ...["buildUki", "digestRootfs", "openRootfs", "parsePe", "predictPcr11", "runRules", "sealImage", "sealRootfs"],
        ...["signPe", "signedBy", "stateImages", "verifyImages", "verifyPe"],
      ].toSorted(),
    );
  });

  it.each(examples.filter(({ name }) => !COMPILED_ONLY.includes(name)))("runs the example of $name", ({ code }) => {
    expect(run(workplace(), code)).toMatchObject({ status: 0, stderr: "" });
  });
});
