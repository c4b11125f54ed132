/**
 * Makes the chunks of the program what scripts/launch.ts loads: scripts whose value is a function, with the body of a module of CommonJS.
 * What a chunk imports, of the program, of node and of packages, is loaded when it is used for the first time. So a verb
 * pays for nothing but what it does, wherever its imports stand.
 */
import type { Plugin } from "rolldown";

/** The chunk that holds the helpers of the bundler, needed at once. */
const RUNTIME = "./rolldown-runtime.js";

/** @param directory where the chunks go, of the output */
export function lateImports(directory: string): Plugin {
  return {
    name: "late-imports",
    // What chalk asks the terminal for: seal itself says which colours there are, and the terminal costs as much as all other modules.
    resolveId: (id) => (id === "#supports-color" ? "\0no-colors" : null),
    load: (id) => (id === "\0no-colors" ? "export default { stdout: false, stderr: false };" : null),
    generateBundle(_options, bundle) {
      this.emitFile({ type: "asset", fileName: `${directory}/package.json`, source: '{ "type": "commonjs" }\n' });
      for (const output of Object.values(bundle)) {
        if (output.type !== "chunk") continue;
        output.code = `(function (exports, require, lazy, __filename, __dirname) {${toAscii(importLate(output.code))}})\n`;
      }
    },
  };
}

/** A chunk as CommonJS whose imports wait until they are used. */
export function importLate(code: string): string {
  const modules = new Map<string, boolean>();
  const names: string[] = [];
  for (const [, name = ""] of code.matchAll(/^([\w$]+) = require_rolldown_runtime\.__toESM\(\1(?:, 1)?\);$/gm)) {
    modules.set(name, true);
  }
  const late = code
    .replace(/^#!.*\n/, "")
    .replace(/\bimport\(("[^"]+")\)/g, "Promise.resolve(lazy($1, true)())")
    // Imports for their effects: modules of node have none.
    .replace(/^require\("node:[^"]+"\);$/gm, "")
    .replace(/^[\w$]+ = require_rolldown_runtime\.__toESM\([\w$]+(?:, 1)?\);$/gm, "")
    .replace(/^(?:const|let) ([\w$]+) = require\(("[^"]+")\);$/gm, (line: string, name: string, module: string) => {
      if (module === JSON.stringify(RUNTIME)) return line;
      names.push(name);
      return `const ${name} = lazy(${module}${modules.has(name) ? ", true" : ""});`;
    });
  if (names.length === 0) return late;
  const named = names.map((name) => name.replaceAll("$", "\\$")).join("|");
  return late.replace(
    new RegExp(`(?<![\\w$]|(?<!\\.\\.)\\.)(${named})(?![\\w$])(?! = lazy)`, "g"),
    (_all, name: string, at: number) => {
      if (late[at + name.length] === ".") return late.slice(at - 4, at) === "new " ? `(${name}())` : `${name}()`;
      // The name of a package may be a word of a comment or a text, too.
      if (name.includes("_")) throw new Error(`pack: ${late.slice(at, at + 80)}: is no use of what a module exports`);
      return name;
    },
  );
}

/** The same program in ASCII: V8 keeps it in half the memory, and reading it takes no decoder. */
function toAscii(code: string): string {
  return code.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
