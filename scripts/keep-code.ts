/**
 * The last step of `npm run build`: keeps the code that V8 makes of the program, beside it, for one node on one kind of
 * processor. The same program gives the same code, byte for byte.
 *
 * usage: node scripts/keep-code.ts DIRECTORY [NODE...]
 *   DIRECTORY  where the file goes
 *   NODE       the command that runs the node to keep code for; default: the one that runs this
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CODE_IMAGE } from "./code-image.ts";

/**
 * One thread, a fixed seed, no function that is forgotten or optimized because of how long things took, and no
 * collection of garbage: in gaps between objects, which V8 writes too, stands what was there before.
 */
const REPEATABLE = [
  ...["--predictable", "--no-flush-bytecode", "--no-opt"],
  ...["--min-semi-space-size=64", "--max-semi-space-size=64"],
];
/** Prints what V8 knows its flags by: it stands in all code that it makes. */
const FLAG_HASH = 'process.stdout.write(new vm.Script("").createCachedData().toString("hex", 12, 16))';

const [, , output, command = process.execPath, ...first] = process.argv;
if (output === undefined) throw new Error("usage: node scripts/keep-code.ts DIRECTORY [NODE...]");
// V8 numbers all functions that a process makes, and node makes some for what it finds in its environment, and for
// streams by what they are. Where one thread alone reads files and unpacks, their order does not depend on what else the
// machine does.
const { NODE_PATH = "" } = process.env;
const env = { NODE_PATH, UV_THREADPOOL_SIZE: "1" };
const run = (...args: string[]) => execFileSync(command, [...first, ...args], { encoding: "utf8", env });

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const cache = mkdtempSync(join(tmpdir(), "seal-build-"));
try {
  run(path("../dist/cli/main.js"), "--quiet", "compute-digest", CODE_IMAGE, "--cache", cache);
  run(...REPEATABLE, path("make-code.ts"), run("--eval", FLAG_HASH), output, cache);
} finally {
  rmSync(cache, { recursive: true });
}
