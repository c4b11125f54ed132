/**
 * The last step of `npm run build`: keeps the code that V8 makes of the program, beside it. Only functions that have run are in it, so the verbs
 * are taken through some of their work first.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { run } from "../src/cli/main.ts";
import { VERBS } from "../src/cli/verbs.ts";
import type { Host } from "../src/io/host.ts";
import { codeFile, encodeCode, loader } from "./launch.ts";

const project = fileURLToPath(new URL("..", import.meta.url));
const directory = join(project, "dist/cli");

/** A host without a terminal. @returns also what was written to standard error */
function silentHost(cwd: string): { readonly host: Host; readonly said: string[] } {
  const said: string[] = [];
  const host: Host = {
    env: {},
    cwd,
    stdout: { write: () => {}, columns: null },
    stderr: { write: (data) => void said.push(String(data)), columns: null },
    stdin: async () => new Uint8Array(0),
    now: () => new Date(0),
    elapsed: () => performance.now(),
  };
  return { host, said };
}

/** What is run, each with the exit code that it has. */
function invocations(inputs: string): (readonly [number, readonly string[]])[] {
  const key = ["--key", join(inputs, "db2048.key"), "--cert", join(inputs, "db2048.crt")];
  const uki = ["--linux", join(inputs, "kernel"), "--stub", join(inputs, "stub-wide"), "--os-release", "ID=x"];
  return [
    [0, ["--version"]],
    [0, ["--help"]],
    ...VERBS.map(({ name }) => [0, [...name.split(" "), "--help"]] as const),
    [2, ["compute-digest", "--none"]],
    [3, ["compute-digest", "missing"]],
    [0, ["compute-digest", "tree", "--json"]],
    [0, ["build-uki", ...uki, "-o", "uki.efi"]],
    [0, ["sign", "uki.efi", ...key, "-o", "signed.efi"]],
    [0, ["verify", "signed.efi", "--cert", join(inputs, "db2048.crt")]],
    [0, ["inspect", "signed.efi"]],
    [0, ["measure", "signed.efi"]],
    [3, ["lint", "missing"]],
  ];
}

const { load, scripts } = loader(directory, new Map());
const main = load("./program.js") as { readonly run: typeof run };
const work = mkdtempSync(join(tmpdir(), "seal-build-"));
try {
  for (const path of ["usr/bin", "boot", "sysroot"]) mkdirSync(join(work, "tree", path), { recursive: true });
  writeFileSync(join(work, "tree/usr/bin/true"), "x".repeat(5000));
  for (const [code, args] of invocations(join(project, "test/vectors/uki/inputs"))) {
    const { host, said } = silentHost(work);
    const got = await main.run(args, host);
    if (got !== code) throw new Error(`seal ${args.join(" ")}: ${got} instead of ${code}: ${said.join("")}`);
  }
} finally {
  rmSync(work, { recursive: true });
}
const code = new Map([...scripts].map(([name, script]) => [name, script.createCachedData()]));
writeFileSync(codeFile(directory), encodeCode(code));
