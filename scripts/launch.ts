#!/usr/bin/env node
/**
 * What `seal` starts: dist/cli/main.js. It loads the program, whose chunks lie beside it, with the code that was kept
 * for the node that runs. Code of another node or processor has another name; without it the program runs all the same,
 * and starts more slowly.
 */
import { codeIn, inDirectory, loader, runProgram } from "./loader.ts";

/** The oldest node that the program runs on: `engines` of package.json. */
const OLDEST_NODE = { major: 22, minor: 12 };

/**
 * Why the program can't run on a node, as a line for people; null when it can. An older one would fail somewhere on the
 * way, with messages that lead astray.
 * @param version such as `20.20.2`
 * @param path of that node
 */
function tooOld(version: string, path: string): string | null {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const { major: oldest, minor: oldestMinor } = OLDEST_NODE;
  if (major > oldest || (major === oldest && minor >= oldestMinor)) return null;
  return `seal: needs Node ${oldest}.${oldestMinor} or newer; ${path} is Node ${version}\n`;
}

const old = tooOld(process.versions.node, process.execPath);
if (old === null) {
  const directory = import.meta.dirname;
  runProgram(loader(inDirectory(directory), codeIn(directory)));
} else {
  process.stderr.write(old);
  process.exitCode = 2;
}
