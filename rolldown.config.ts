/**
 * Makes the JavaScript of dist: the library as modules, and the program as scripts (see scripts/late-imports.ts). Nothing is
 * minified: stacks name functions and lines that can be read.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { defineConfig, type InputOptions, type Plugin, type RolldownOptions } from "rolldown";
import { lateImports } from "./scripts/late-imports.ts";

/** Started as files of their own, which must lie beside the code that starts them. */
const WORKERS = {
  "hash-worker": "src/io/hash-worker.ts",
  "layer-worker": "src/io/oci/layer-worker.ts",
};

/** The commit that is built, for `seal version --verbose`; null outside of a repository. */
function builtCommit(): string | null {
  const { status, stdout } = spawnSync("git", ["rev-parse", "HEAD"], { cwd: import.meta.dirname, encoding: "utf8" });
  return status === 0 ? stdout.trim() : null;
}

const common: InputOptions = {
  platform: "node",
  transform: { define: { SEAL_COMMIT: JSON.stringify(builtCommit()) } },
  // Native code can't be bundled; the other one is large and rarely needed.
  external: ["koffi", "node-forge"],
  // The library has all that the program loads later.
  checks: { ineffectiveDynamicImport: false, bundlerTimings: false },
  onLog: (_level, log) => {
    throw new Error(log.message);
  },
};

/** One file of CommonJS, in dist/cli. */
function single(name: string, source: string): RolldownOptions {
  return {
    ...common,
    input: { [name]: source },
    output: { dir: "dist/cli", format: "cjs", codeSplitting: false },
  };
}

export default defineConfig([
  {
    ...common,
    input: {
      index: "src/index.ts",
      ...Object.fromEntries(Object.entries(WORKERS).map(([name, source]) => [`chunks/${name}`, source])),
    },
    output: { dir: "dist", chunkFileNames: "chunks/[name].js" },
  },
  {
    ...common,
    input: { "cli/program": "src/cli/main.ts" },
    output: {
      dir: "dist",
      format: "cjs",
      chunkFileNames: "cli/[name].js",
      // Loaded only where they are used: help pages have no colours, and many verbs nothing that a schema checks.
      codeSplitting: {
        groups: [
          { name: "chalk", test: /\/node_modules\/chalk\// },
          { name: "zod", test: /\/node_modules\/zod\// },
        ],
      },
    },
    plugins: [licenses(), lateImports("cli")],
  },
  single("main", "scripts/launch.ts"),
  ...Object.entries(WORKERS).map(([name, source]) => single(name, source)),
]);

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
