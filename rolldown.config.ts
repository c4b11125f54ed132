/**
 * Makes the JavaScript of dist: the library as modules with one file of types, and the program as scripts (see
 * scripts/late-imports.ts). Nothing is minified: stacks name functions and lines that can be read.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { defineConfig, type InputOptions, type Plugin, type RolldownOptions } from "rolldown";
import { dts } from "rolldown-plugin-dts";
import { lateImports } from "./scripts/late-imports.ts";
import { licenses } from "./scripts/licenses.ts";
import { KOFFI_DEFINITIONS, nativeKoffi } from "./scripts/native-koffi.ts";

/** Started as files of their own, which must lie beside the code that starts them. */
const HASHING_WORKERS = {
  "hash-worker": "src/io/hash-worker.ts",
  "layer-worker": "src/io/oci/layer-worker.ts",
};
const WORKERS = { ...HASHING_WORKERS, "kernel-worker": "src/seal/kernel-worker.ts" };

/** The commit that is built, for `seal version --verbose`; null outside of a repository. */
function builtCommit(): string | null {
  const { status, stdout } = spawnSync("git", ["rev-parse", "HEAD"], { cwd: import.meta.dirname, encoding: "utf8" });
  return status === 0 ? stdout.trim() : null;
}

const PACKAGE = new URL("package.json", import.meta.url);
const { version } = JSON.parse(readFileSync(PACKAGE, "utf8")) as { readonly version: string };

const common: InputOptions = {
  platform: "node",
  transform: {
    define: {
      ...KOFFI_DEFINITIONS,
      SEAL_COMMIT: JSON.stringify(builtCommit()),
      SEAL_VERSION: JSON.stringify(version),
    },
  },
  // Native code can't be bundled; the other one is large and rarely needed.
  external: ["koffi", "node-forge"],
  // The library has all that the program loads later.
  checks: { ineffectiveDynamicImport: false, bundlerTimings: false },
  onLog: (_level, log) => {
    throw new Error(log.message);
  },
};

/** The program, and its workers, which have a process to themselves. */
const built: InputOptions = {
  ...common,
  external: ["node-forge"],
  transform: { define: { ...common.transform?.define, SEAL_OWNS_PROCESS: "true" } },
};

/** Modules of the program that all verbs take to their help pages and to the checks of their options. */
const STARTED =
  /\/node_modules\/commander\/|\/src\/(?:errors|io\/v8-settings|cli\/(?:command|global-options|version|options\/(?:check|declaration|group|option|risk|spelling)))\.ts$/;

/** One file of CommonJS, in dist/cli. */
function single(name: string, source: string): RolldownOptions {
  return {
    ...built,
    input: { [name]: source },
    output: { dir: "dist/cli", format: "cjs", codeSplitting: false },
  };
}

/** Workers mostly hash without node:crypto, and loading it would take them longer than their first thousand files. */
function lateCrypto(): Plugin {
  return {
    name: "late-crypto",
    renderChunk(code) {
      const late = code.replace(
        'let node_crypto = require("node:crypto");',
        'let loaded_crypto;\nconst late_crypto = () => (loaded_crypto ??= require("node:crypto"));',
      );
      if (late === code) throw new Error("no import of node:crypto where one was expected");
      return late.replace(/\bnode_crypto\b/g, "late_crypto()");
    },
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
  // The types of the library in one file, of those that tsc has written: internal ones have no file that could be
  // imported.
  {
    ...common,
    input: { index: "dist/types/index.d.ts" },
    external: [/^node:/, "zod"],
    output: { dir: "dist" },
    plugins: [dts({ dtsInput: true, emitDtsOnly: true, tsconfig: false, oxc: true })],
  },
  {
    ...built,
    input: { "cli/program": "src/cli/main.ts" },
    output: {
      dir: "dist",
      format: "cjs",
      chunkFileNames: "cli/[name].js",
      // Every start reads them; licences are in a file of their own.
      comments: false,
      // Loaded only where they are used: help pages have no colours, and many verbs nothing that a schema checks.
      codeSplitting: {
        groups: [
          // What every verb starts with, for each file takes time.
          { name: "start", test: STARTED },
          // The rules of releases are compared before anything is read, which takes nothing of what transforms.
          { name: "rules", test: /\/src\/tree\/transform\.ts$/ },
          { name: "chalk", test: /\/node_modules\/chalk\// },
          { name: "zod", test: /\/node_modules\/zod\// },
        ],
      },
    },
    plugins: [licenses(), nativeKoffi(), lateImports("cli")],
  },
  single("main", "scripts/launch.ts"),
  ...Object.entries(WORKERS).map(([name, source]) => ({
    ...single(name, source),
    plugins: name in HASHING_WORKERS ? [nativeKoffi(), lateCrypto()] : [nativeKoffi()],
  })),
]);
