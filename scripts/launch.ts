#!/usr/bin/env node
/**
 * What `seal` starts: dist/cli/main.js. It loads the program, whose chunks lie beside it (see scripts/late-imports.ts), with the code that
 * V8 made of them when they were built (scripts/keep-code.ts), so that little is parsed and compiled at a start. Code of another
 * node or processor has another name; without it the program runs all the same, and starts more slowly.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Script } from "node:vm";

type Load = (name: string) => unknown;
/** @returns what loads a module when it is called for the first time. @param isDefault as a namespace whose `default` it is */
type Lazy = (name: string, isDefault?: boolean) => () => unknown;
/** @returns what makes a value when it is called for the first time, and has it from then on */
type OnDemand = <Value>(make: () => Value) => () => Value;
type Chunk = (exports: object, require: Load, lazy: Lazy, onDemand: OnDemand, file: string, directory: string) => void;

/** Code of chunks, by their name. */
export type Code = ReadonlyMap<string, Buffer>;

/** Where the code for the node that runs is kept. */
export function codeFile(directory: string): string {
  const { version, platform, arch } = process;
  return `${directory}/${version}-${platform}-${arch}.code`;
}

/** A file of code: the length of a line of JSON with names and lengths, that line, and the code of each chunk. */
export function encodeCode(code: Code): Uint8Array {
  const table = Buffer.from(JSON.stringify([...code].map(([name, { length }]) => [name, length])));
  const start = Buffer.alloc(4);
  start.writeUInt32LE(table.length);
  return Buffer.concat([start, table, ...code.values()]);
}

/** Empty where it can't be had: it only saves time. */
export function readCode(path: string): Code {
  try {
    const bytes = readFileSync(path);
    const code = new Map<string, Buffer>();
    let offset = 4 + bytes.readUInt32LE();
    const table: [string, number][] = JSON.parse(bytes.toString("latin1", 4, offset));
    for (const [name, length] of table) {
      code.set(name, bytes.subarray(offset, offset + length));
      offset += length;
    }
    return code;
  } catch {
    return new Map();
  }
}

/**
 * Gets the modules of the program that lies in a directory.
 * @returns also the scripts of the chunks that have been loaded
 */
export function loader(directory: string, code: Code): { readonly load: Load; readonly scripts: Map<string, Script> } {
  const requireOutside = createRequire(`${directory}/program.js`);
  const loaded = new Map<string, object>();
  const scripts = new Map<string, Script>();

  function load(name: string): unknown {
    if (!name.startsWith("./")) return requireOutside(name);
    const known = loaded.get(name);
    if (known !== undefined) return known;
    const filename = directory + name.slice(1);
    // It is ASCII, and as latin1 it is taken as it is.
    const script = new Script(readFileSync(filename, "latin1"), { filename, cachedData: code.get(name) });
    scripts.set(name, script);
    const exports = {};
    loaded.set(name, exports);
    const chunk: Chunk = script.runInThisContext();
    chunk(exports, load, lazy, onDemand, filename, directory);
    return exports;
  }

  function lazy(name: string, isDefault = false): () => unknown {
    let module: unknown;
    return () => {
      if (module === undefined) {
        module = load(name);
        if (isDefault) module = Object.create(Object(module), { default: { value: module } });
      }
      return module;
    };
  }

  return { load, scripts };
}

function onDemand<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | null = null;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** The oldest node that the program runs on: `engines` of package.json. */
const OLDEST_NODE = { major: 22, minor: 12 };

/**
 * Why the program can't run on a node, as a line for people; null when it can. An older one would fail somewhere on the way, with messages
 * that lead astray.
 * @param version such as `20.20.2`
 * @param path of that node
 */
export function tooOld(version: string, path: string): string | null {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const { major: oldest, minor: oldestMinor } = OLDEST_NODE;
  if (major > oldest || (major === oldest && minor >= oldestMinor)) return null;
  return `seal: needs Node ${oldest}.${oldestMinor} or newer; ${path} is Node ${version}\n`;
}

/** The module that holds the program. */
interface Program {
  main(): Promise<void>;
}

function isProgram(module: unknown): module is Program {
  return typeof module === "object" && module !== null && "main" in module && typeof module.main === "function";
}

function start(): void {
  const old = tooOld(process.versions.node, process.execPath);
  if (old !== null) {
    process.stderr.write(old);
    process.exitCode = 2;
    return;
  }
  const directory = import.meta.dirname;
  const program = loader(directory, readCode(codeFile(directory))).load("./program.js");
  if (isProgram(program)) void program.main();
}

if (createRequire(import.meta.filename).main?.filename === import.meta.filename) start();
