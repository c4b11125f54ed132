/**
 * Makes one executable of a node and the program: node's single executable applications. The program is the same as in
 * dist, chunk by chunk; koffi and node-forge, which are packages there, are made scripts.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, copyFileSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inject } from "postject";
import { build, type InputOptions } from "rolldown";
import { LICENSES, licenses } from "../licenses.ts";
import { NATIVE, START, THREAD } from "../one-file/assets.ts";
import type { Architecture } from "./targets.ts";

/**
 * What marks the place in node where it notes that it has a program (node's documentation of single
 * executable applications).
 */
const FUSE = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2";
const RESOURCE = "NODE_SEA_BLOB";

export interface Parts {
  readonly arch: Architecture;
  /** The project, built. */
  readonly project: string;
  /** Files of the packages for that machine. */
  readonly node: string;
  readonly koffi: string;
  /** A directory of its own, for what is made on the way; code that is kept for that node lies there. */
  readonly work: string;
}

/**
 * @param output the executable
 * @returns the licences of what is in it besides node and what dist says
 */
export async function makeExecutable(parts: Parts, output: string): Promise<string> {
  const { project, work, koffi, node, arch } = parts;
  const native = join(koffi, `linux_${arch}/koffi.node`);
  const texts = await bundle(project, work, createHash("sha256").update(readFileSync(native)).digest("hex"));
  const chunks = join(project, "dist/cli");
  const assets = {
    [START]: join(work, START),
    [NATIVE]: native,
    ...filesOf(work, (name) => /\.(js|code)$/.test(name)),
    ...filesOf(chunks, (name) => name.endsWith(".js") && name !== "main.js"),
  };
  const blob = join(work, "program.blob");
  const configuration = join(work, "sea.json");
  writeFileSync(
    configuration,
    JSON.stringify({
      // It stands in the executable, so it is not to say where this was made.
      main: START,
      output: blob,
      assets,
      disableExperimentalSEAWarning: true,
      // No variable of the environment makes it run other code.
      execArgvExtension: "none",
    }),
  );
  execFileSync(process.execPath, ["--experimental-sea-config", configuration], { cwd: work, stdio: "pipe" });
  const partial = `${output}.${process.pid}`;
  copyFileSync(join(node, "bin/node"), partial);
  chmodSync(partial, 0o755);
  await inject(partial, RESOURCE, readFileSync(blob), { sentinelFuse: FUSE });
  renameSync(partial, output);
  return texts;
}

function filesOf(directory: string, isWanted: (name: string) => boolean): Record<string, string> {
  const names = readdirSync(directory).filter(isWanted).sort();
  return Object.fromEntries(names.map((name) => [name, join(directory, name)]));
}

/** Makes the scripts that dist does not have. @returns the licences of what they are made of */
async function bundle(project: string, work: string, nativeSha256: string): Promise<string> {
  const options: InputOptions = {
    cwd: project,
    platform: "node",
    external: [/^@koromix\//],
    transform: { define: { NATIVE_SHA256: JSON.stringify(nativeSha256) } },
    plugins: [licenses()],
    checks: { bundlerTimings: false },
  };
  const inputs = {
    [START]: "scripts/one-file/start.ts",
    [THREAD]: "scripts/one-file/thread.ts",
    "koffi.js": "node_modules/koffi/index.cjs",
    "node-forge.js": "node-forge",
  };
  const texts: string[] = [];
  for (const [name, source] of Object.entries(inputs)) {
    const { output } = await build({
      ...options,
      input: { [name.replace(/\.js$/, "")]: source },
      output: { dir: work, format: "cjs", codeSplitting: false },
    });
    for (const file of output) if (file.type === "asset" && file.fileName === LICENSES) texts.push(String(file.source));
  }
  return texts.filter((text) => text !== "").join("\n\n");
}
