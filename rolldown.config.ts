/**
 * Makes the JavaScript of dist: few files, because each one costs time at every start of the program. Verbs stay chunks of
 * their own that are loaded when they are called. Nothing is minified: stacks name functions and lines that can be read.
 */
import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { type ChunkingContext, defineConfig, type Plugin } from "rolldown";

const MAIN = "src/cli/main.ts";
/** Started as files of their own, which must lie beside the code that starts them. */
const WORKERS = {
  "chunks/hash-worker": "src/io/hash-worker.ts",
  "chunks/unpack-worker": "src/io/oci/unpack-worker.ts",
};

export default defineConfig({
  input: { index: "src/index.ts", "cli/main": MAIN, ...WORKERS },
  platform: "node",
  // Native code can't be bundled; the other one is large and rarely needed.
  external: ["koffi", "node-forge"],
  output: {
    dir: "dist",
    chunkFileNames: "chunks/[name].js",
    codeSplitting: { groups: [{ name: startGroup, debugName: "start" }] },
  },
  plugins: [licenses()],
  onLog: (_level, log) => {
    throw new Error(log.message);
  },
});

/** The chunk of what is loaded at every start of the program, of its worker threads, or of both; null: left to the bundler. */
function startGroup(id: string, context: ChunkingContext): string | null {
  const entries = [MAIN, ...Object.values(WORKERS)].map((path) => resolve(path));
  if (entries.includes(id)) return null;
  const [main, ...workers] = entries.map((entry) => importedBy(entry, context).has(id));
  if (workers.includes(true)) return main ? "base" : "work";
  return main ? "start" : null;
}

/** The modules that are loaded with a module. */
function importedBy(entry: string, context: ChunkingContext): ReadonlySet<string> {
  const found = new Set([entry]);
  for (const id of found) {
    for (const imported of context.getModuleInfo(id)?.importedIds ?? []) found.add(imported);
  }
  return found;
}

/** Writes the licences of the packages whose code went into the bundle, as they ask for. */
function licenses(): Plugin {
  return {
    name: "licenses",
    generateBundle(_options, files) {
      const modules = Object.values(files).flatMap((file) => (file.type === "chunk" ? Object.keys(file.modules) : []));
      const directories = modules.map((path) => /.*\/node_modules\/(?:@[^/]+\/)?[^/]+\//.exec(path)?.[0] ?? "");
      const texts = [...new Set(directories)]
        .filter((directory) => directory !== "")
        .sort()
        .map(licenseOf);
      this.emitFile({ type: "asset", fileName: "THIRD-PARTY-LICENSES.txt", source: texts.join("\n\n") });
    },
  };
}

/** @param directory of an installed package, with a slash at its end */
function licenseOf(directory: string): string {
  const file = readdirSync(directory).find((name) => /^licen[cs]e/i.test(name));
  if (file === undefined) throw new Error(`${directory}: no licence, so its code can't be bundled`);
  const name = directory.slice(directory.lastIndexOf("node_modules/") + "node_modules/".length, -1);
  return `${name}\n\n${readFileSync(directory + file, "utf8").trim()}\n`;
}
