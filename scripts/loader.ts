/**
 * Loads the chunks of the program, which scripts/late-imports.ts made, with the code that V8 made of them when they
 * were built (scripts/keep-code.ts), so that little is parsed and compiled at a start.
 */
import { openSync, readFileSync, readSync } from "node:fs";
import { Script } from "node:vm";

/** Gets a module by its name. */
export type Load = (name: string) => unknown;
/**
 * @returns what loads a module when it is called for the first time.
 * @param isDefault as a namespace whose `default` it is
 */
type Lazy = (name: string, isDefault?: boolean) => () => unknown;
/** @returns what makes a value when it is called for the first time, and has it from then on */
type OnDemand = <Value>(make: () => Value) => () => Value;
type Chunk = (exports: object, require: Load, lazy: Lazy, onDemand: OnDemand, file: string, directory: string) => void;

/** What a program may change of how it is loaded. */
export interface Loading {
  /** Called with what loads a chunk, or a module from outside, for the first time; returns what that returns. */
  around: <Result>(load: () => Result) => Result;
}

/** Code of chunks, by their name; undefined for what there is none of. */
export interface Code {
  readonly get: (name: string) => Buffer | undefined;
}

/** The name of the file with the code for the node that runs. */
export function codeName(): string {
  const { version, platform, arch } = process;
  return `${version}-${platform}-${arch}.code`;
}

/** A file of code: the length of a line of JSON with names and lengths, that line, and the code of each chunk. */
export function encodeCode(code: ReadonlyMap<string, Buffer>): Uint8Array {
  const table = Buffer.from(JSON.stringify([...code].map(([name, { length }]) => [name, length])));
  const start = Buffer.alloc(4);
  start.writeUInt32LE(table.length);
  return Buffer.concat([start, table, ...code.values()]);
}

/** Gets bytes of a file of code by their offset and number; throws where it doesn't have them. */
export type ReadCode = (at: number, length: number) => Buffer;

/** Has the code that a file of code has; none where that can't be read: it only saves time. */
export function decodeCode(read: ReadCode): Code {
  const places = new Map<string, { readonly at: number; readonly length: number }>();
  try {
    const tableLength = read(0, 4).readUInt32LE();
    const table: [string, number][] = JSON.parse(read(4, tableLength).toString("latin1"));
    let at = 4 + tableLength;
    for (const [name, length] of table) {
      places.set(name, { at, length });
      at += length;
    }
  } catch {
    places.clear();
  }
  return {
    get: (name) => {
      const place = places.get(name);
      try {
        return place && read(place.at, place.length);
      } catch {
        return undefined;
      }
    },
  };
}

/**
 * Code that lies in a directory. What a run has no use for is not read: all of it takes as long as
 * a quarter of a start.
 */
export function codeIn(directory: string): Code {
  let file: number | null = null;
  return decodeCode((at, length) => {
    file ??= openSync(`${directory}/${codeName()}`, "r");
    const bytes = Buffer.allocUnsafeSlow(length);
    if (readSync(file, bytes, 0, length, at) < length) throw new Error("it is shorter than it says");
    return bytes;
  });
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
  // Of texts in UTF-8 node opens, reads and decodes a file in one call; and that takes ASCII as it is.
  const read = (name: string) => readFileSync(directory + name.slice(1), "utf8");
  return { directory, read, outside: installed(`${directory}/program.js`) };
}

/** Gets modules of node, and the packages that a file finds. What finds packages is loaded with the first one. */
function installed(file: string): Load {
  let require: Load | null = null;
  return (name) => {
    const own = process.getBuiltinModule(name);
    if (own !== undefined) return own;
    require ??= process.getBuiltinModule("node:module").createRequire(file);
    return require(name);
  };
}

/**
 * Gets the modules of a program.
 * @returns also the scripts of the chunks that have been loaded
 */
export function loader(
  { directory, read, outside }: Source,
  code: Code,
): { readonly load: Load; readonly loading: Loading; readonly scripts: Map<string, Script> } {
  const loaded = new Map<string, object>();
  const scripts = new Map<string, Script>();
  const loading: Loading = { around: (load) => load() };

  function load(name: string): unknown {
    if (!name.startsWith("./")) return loading.around(() => outside(name));
    return loaded.get(name) ?? loading.around(() => loadChunk(name));
  }

  function loadChunk(name: string): object {
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

  return { load, loading, scripts };
}

function onDemand<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | null = null;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** Has the command line of the process run by the program that a loader has. */
export function runProgram({ load, loading }: { readonly load: Load; readonly loading: Loading }): void {
  const program = load("./program.js");
  if (isProgram(program)) void program.main(loading);
}

/** The module that holds the program. */
interface Program {
  main(loading: Loading): Promise<void>;
}

function isProgram(module: unknown): module is Program {
  return typeof module === "object" && module !== null && "main" in module && typeof module.main === "function";
}
