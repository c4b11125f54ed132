/** The version of seal, as its package says it. */
import { readFileSync } from "node:fs";

/** The commit that a build was made of: see rolldown.config.ts. */
declare const SEAL_COMMIT: string | null;

/** Null: it is not known, or seal runs from its sources. */
export function commit(): string | null {
  return typeof SEAL_COMMIT === "undefined" ? null : SEAL_COMMIT;
}

/** Defined where the program is built (rolldown.config.ts): it may have no package next to it. */
declare const SEAL_VERSION: string | undefined;

export function version(): string {
  if (typeof SEAL_VERSION === "string") return SEAL_VERSION;
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
