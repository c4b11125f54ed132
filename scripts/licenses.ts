/** Gathers the licences of packages whose code is bundled. */
import { readdirSync, readFileSync } from "node:fs";
import type { Plugin } from "rolldown";

/** The file that they go into. */
export const LICENSES = "THIRD-PARTY-LICENSES.txt";

/** Writes the licences of the packages whose code went into the bundle, as they ask for. */
export function licenses(): Plugin {
  return {
    name: "licenses",
    generateBundle(_options, files) {
      const modules = Object.values(files).flatMap((file) => (file.type === "chunk" ? Object.keys(file.modules) : []));
      const directories = modules.map((path) => /.*\/node_modules\/(?:@[^/]+\/)?[^/]+\//.exec(path)?.[0] ?? "");
      const texts = [...new Set(directories)]
        .filter((directory) => directory !== "")
        .sort()
        .map(licenseOf);
      this.emitFile({ type: "asset", fileName: LICENSES, source: texts.join("\n\n") });
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
