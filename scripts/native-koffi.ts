/** What a bundle needs so that it has scripts/koffi.ts in place of the package koffi. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Plugin } from "rolldown";

const PACKAGE = new URL("../node_modules/koffi/package.json", import.meta.url);
const { version } = JSON.parse(readFileSync(PACKAGE, "utf8")) as { readonly version: string };

/** What is defined for it. */
export const KOFFI_DEFINITIONS = { KOFFI_VERSION: JSON.stringify(version) };

/** Takes scripts/koffi.ts for koffi. */
export function nativeKoffi(): Plugin {
  const module = fileURLToPath(new URL("koffi.ts", import.meta.url));
  return {
    name: "native-koffi",
    resolveId: (id, importer) => {
      if (id !== "koffi") return null;
      return importer === module ? { id, external: true } : module;
    },
  };
}
