/**
 * `npm run dist`: what a release consists of, for each kind of machine: one executable, an archive with manual pages,
 * completions and licences, packages of Debian and RPM; and the npm package, and sums of all of it. The same sources
 * give the same bytes.
 *
 * usage: node scripts/dist.ts [--arch x64,arm64] [--emulator COMMAND] [--no-packages] [--output DIRECTORY]
 *   --arch         default: all
 *   --emulator     what runs programs for another kind of machine, such as
 *                  `qemu-aarch64 -L /usr/aarch64-linux-gnu`. Without it the executable for that machine has no code
 *                  made beforehand: it does the same, and starts more slowly
 *   --no-packages  don't make packages, which takes nfpm on the PATH
 *   --output       default: release
 *
 * Everything is dated SOURCE_DATE_EPOCH, or the last commit.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { LICENSES } from "./licenses.ts";
import { writeArchive } from "./release/archive.ts";
import { makeExecutable } from "./release/executable.ts";
import { type Program, writePackages } from "./release/packages.ts";
import { getPackage, koffiFor, nodeFor } from "./release/registry.ts";
import runtimes from "./release/runtimes.json" with { type: "json" };
import { npmSbom, sbomOf } from "./release/sbom.ts";
import { ARCHITECTURES, type Architecture } from "./release/targets.ts";
import { filesBelow, type Shell, sumsOf, writeTree } from "./release/tree.ts";

const { values } = parseArgs({
  options: {
    arch: { type: "string", default: ARCHITECTURES.join() },
    emulator: { type: "string" },
    packages: { type: "boolean", default: true },
    output: { type: "string", default: "release" },
  },
  allowNegative: true,
});
const project = fileURLToPath(new URL("..", import.meta.url));
const cache = join(project, "node_modules/.cache/seal");
const output = resolve(values.output);
const work = join(output, "work");
const program = readJson("package.json") as Program;
const mtime = new Date(Number(process.env["SOURCE_DATE_EPOCH"] ?? git("log", "-1", "--format=%ct")) * 1000);

if (process.versions.node !== runtimes.version) {
  throw new Error(`runs on Node ${process.versions.node}, and runtimes.json has Node ${runtimes.version}`);
}
if (values.packages && spawnSync("nfpm", ["--version"]).error !== undefined) {
  throw new Error("nfpm is not on the PATH: get it as docs/get.md says, or give --no-packages");
}
rmSync(output, { recursive: true, force: true });
mkdirSync(work, { recursive: true });
const main = join(project, "dist/cli/main.js");
const completion = (shell: Shell) => execFileSync(process.execPath, [main, "completion", shell], { encoding: "utf8" });
const completions = { bash: completion("bash"), zsh: completion("zsh"), fish: completion("fish") };
const sbom = npmSbom(project);
// Those of the build have no date.
const pages = join(work, "man");
execFileSync(process.execPath, [join(project, "scripts/man.ts"), pages], {
  env: { ...process.env, SOURCE_DATE_EPOCH: String(mtime.getTime() / 1000) },
});
for (const arch of values.arch.split(",")) {
  if (!isArchitecture(arch)) throw new Error(`--arch: ${arch} is none of ${ARCHITECTURES.join(", ")}`);
  await release(arch);
}
execFileSync("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", output], { cwd: project });
rmSync(work, { recursive: true });
writeFileSync(join(output, "SHA256SUMS"), sumsOf(output, filesBelow(output)));

async function release(arch: Architecture): Promise<void> {
  const native = koffiFor(arch, readJson("package-lock.json") as Parameters<typeof koffiFor>[1]);
  const natives = getPackage(native, cache);
  const wanted = nodeFor(arch, runtimes);
  const node = join(getPackage(wanted, cache), wanted.name);
  const own = join(work, arch);
  mkdirSync(own);
  keepCode(arch, node, natives, own);
  const executable = join(output, `seal-linux-${arch}`);
  const koffi = join(natives, native.name);
  const licenses = await makeExecutable({ arch, project, node, koffi, work: own }, executable);
  const bundled = readFileSync(join(project, "dist", LICENSES), "utf8");
  const bill = sbomOf(sbom, { node: runtimes.version, native: native.name, time: mtime });
  const tree = join(work, `${program.name}-${program.version}-linux-${arch}`);
  const documents = {
    [LICENSES]: `${bundled}\n\n${licenses}`,
    "NODE-LICENSE.txt": readFileSync(join(node, "LICENSE"), "utf8"),
    "sbom.cdx.json": `${JSON.stringify(bill, null, 2)}\n`,
  };
  writeTree({ arch, project, executable, pages, documents, completions }, tree);
  await writeArchive(tree, mtime, `${join(output, program.name)}-${program.version}-linux-${arch}.tar.gz`);
  if (values.packages) writePackages(program, { arch, tree, mtime, work: own }, output);
}

/**
 * Keeps code for the node of a kind of machine, where that can be run.
 * @param natives has koffi's native code for it, as node_modules has packages
 */
function keepCode(arch: Architecture, node: string, natives: string, directory: string): void {
  if (arch !== process.arch && values.emulator === undefined) {
    process.stderr.write(`dist: no --emulator, so the executable for ${arch} starts more slowly than it could\n`);
    return;
  }
  const emulator = arch === process.arch ? [] : (values.emulator ?? "").split(" ");
  const args = [join(project, "scripts/keep-code.ts"), directory, ...emulator, join(node, "bin/node")];
  execFileSync(process.execPath, args, {
    env: { ...process.env, NODE_PATH: natives },
    stdio: ["ignore", "ignore", "inherit"],
  });
}

function isArchitecture(name: string): name is Architecture {
  return (ARCHITECTURES as readonly string[]).includes(name);
}

function readJson(name: string): unknown {
  return JSON.parse(readFileSync(join(project, name), "utf8"));
}

function git(...args: string[]): string {
  return execFileSync("git", args, { cwd: project, encoding: "utf8" });
}
