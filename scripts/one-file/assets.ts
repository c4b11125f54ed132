/**
 * The parts of the executable, and how its scripts are loaded. Modules of node are loaded where they are used: each
 * costs time at every start.
 */
import { join } from "node:path";
import { getRawAsset } from "node:sea";
import { Script } from "node:vm";
import type { Load } from "../loader.ts";

/**
 * The script that node starts, and the one that threads start with. Chunks of the program go by the names of their
 * files, packages by their own.
 */
export const START = "start.js";
export const THREAD = "thread.js";
/** The native code of koffi. */
export const NATIVE = "koffi.node";

/** What a thread is told when it starts. */
export interface ThreadData {
  /** The chunk that it runs. */
  readonly chunk: string;
  /** The descriptor of the file with koffi's native code. */
  readonly native: number;
}

export function asset(name: string): Buffer {
  return Buffer.from(getRawAsset(name));
}

/** The text of a chunk of the program: ASCII, see scripts/late-imports.ts. */
export function chunkText(name: string): string {
  return asset(name).toString("latin1");
}

type ModuleBody = (exports: object, require: Load, module: object, file: string, directory: string) => void;

/** Runs a script as a module of CommonJS. @returns what it exports */
export function runModule(name: string, require: Load): unknown {
  const module = { exports: {} };
  const filename = join(process.execPath, name);
  const text = `(function (exports, require, module, __filename, __dirname) {${asset(name).toString()}\n})`;
  const run: ModuleBody = new Script(text, { filename }).runInThisContext();
  run(module.exports, require, module, filename, process.execPath);
  return module.exports;
}

/**
 * Gets what is not part of the program: modules of node, and packages.
 * @param others what to give for some names
 * @param native has the file of koffi's native code
 */
export function outside(others: Load, native: () => number): Load {
  const loaded = new Map<string, unknown>();
  const get: Load = (name) => {
    if (name.startsWith("@koromix/")) return loadNative(native());
    const known = others(name) ?? process.getBuiltinModule(name) ?? loaded.get(name);
    if (known !== undefined) return known;
    const module = runModule(`${name}.js`, get);
    loaded.set(name, module);
    return module;
  };
  return get;
}

function loadNative(file: number): unknown {
  const module = { exports: {} };
  try {
    process.dlopen(module, `/proc/self/fd/${file}`);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (reason.includes("failed to map segment")) {
      stop(`${temporary()}: may not execute programs (noexec); ${ELSEWHERE} that may`);
    }
    stop(`a part of it can't be loaded, which takes /proc: ${reason}`);
  }
  return module.exports;
}

/** The directory that native code is unpacked to. */
export function temporary(): string {
  return process.getBuiltinModule("node:os").tmpdir();
}

export const ELSEWHERE = "set TMPDIR to another directory";

/** Ends the process with a line: there is nothing to go on with. */
export function stop(reason: string): never {
  process.stderr.write(`seal: ${reason}\n`);
  process.exit(3);
}
