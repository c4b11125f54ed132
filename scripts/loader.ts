/**
 * Loads the chunks of the program, which scripts/late-imports.ts made, with the code that V8 made of them when they were built
 * (scripts/keep-code.ts), so that little is parsed and compiled at a start.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Script } from "node:vm";

/** Gets a module by its name. */
export type Load = (name: string) => unknown;
/** @returns what loads a module when it is called for the first time. @param isDefault as a namespace whose `default` it is */
type Lazy = (name: string, isDefault?: boolean) => () => unknown;
/** @returns what makes a value when it is called for the first time, and has it from then on */
type OnDemand = <Value>(make: () => Value) => () => Value;
type Chunk = (exports: object, require: Load, lazy: Lazy, onDemand: OnDemand, file: string, directory: string) => void;

/** Code of chunks, by their name. */
export type Code = ReadonlyMap<string, Buffer>;

/** The name of the file with the code for the node that runs. */
export function codeName(): string {
  const { version, platform, arch } = process;
  return `${version}-${platform}-${arch}.code`;
}

/** A file of code: the length of a line of JSON with names and lengths, that line, and the code of each chunk. */
export function encodeCode(code: Code): Uint8Array {
  const table = Buffer.from(JSON.stringify([...code].map(([name, { length }]) => [name, length])));
  const start = Buffer.alloc(4);
  start.writeUInt32LE(table.length);
  return Buffer.concat([start, table, ...code.values()]);
}

/** Empty where it can't be had: it only saves time. @param read gets the bytes of a file of code */
export function decodeCode(read: () => Buffer): Code {
  try {
    const bytes = read();
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

/** Where the program is. */
export interface Source {
  /** Where it says to be: chunks find their neighbours from here. */
  readonly directory: string;
  /** The text of a chunk, such as `./program.js`: ASCII. */
  readonly read: (name: string) => string;
  /** Gets what is not part of the program: modules of node, and packages. */
  readonly outside: Load;
}

/** A program whose chunks are files. */
export function inDirectory(directory: string): Source {
  // It is ASCII, and as latin1 it is taken as it is.
  const read = (name: string) => readFileSync(directory + name.slice(1), "latin1");
  return { directory, read, outside: createRequire(`${directory}/program.js`) };
}

/**
 * Gets the modules of a program.
 * @returns also the scripts of the chunks that have been loaded
 */
export function loader(
  { directory, read, outside }: Source,
  code: Code,
): { readonly load: Load; readonly scripts: Map<string, Script> } {
  const loaded = new Map<string, object>();
  const scripts = new Map<string, Script>();

  function load(name: string): unknown {
    if (!name.startsWith("./")) return outside(name);
    const known = loaded.get(name);
    if (known !== undefined) return known;
    const filename = directory + name.slice(1);
    const script = new Script(read(name), { filename, cachedData: code.get(name) });
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

/** Has the command line of the process run by the program that a loader has. */
export function runProgram(load: Load): void {
  const program = load("./program.js");
  if (isProgram(program)) void program.main();
}

/** The module that holds the program. */
interface Program {
  main(): Promise<void>;
}

function isProgram(module: unknown): module is Program {
  return typeof module === "object" && module !== null && "main" in module && typeof module.main === "function";
}
