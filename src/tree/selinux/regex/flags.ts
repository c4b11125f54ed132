/** Flags in a pattern: `(?i)`, `(?s-x:…)`. */
import { RegexSyntaxError, type Scanner } from "./scanner.ts";

export interface Flags {
  readonly ignoreCase: boolean;
  readonly multiLine: boolean;
  readonly dotAll: boolean;
  readonly crlf: boolean;
  readonly ignoreSpace: boolean;
}

export const NO_FLAGS: Flags = { ignoreCase: false, multiLine: false, dotAll: false, crlf: false, ignoreSpace: false };

const NAMES: Readonly<Record<string, keyof Flags | "greed" | "unicode">> = {
  i: "ignoreCase",
  m: "multiLine",
  s: "dotAll",
  R: "crlf",
  x: "ignoreSpace",
  U: "greed",
  u: "unicode",
};

/**
 * Reads flags up to the `:` or `)` that ends them.
 * @returns the flags in force, whether Unicode mode was turned on, and whether there was any flag
 */
export function parseFlags(scanner: Scanner, outer: Flags): { flags: Flags; unicode: boolean; given: boolean } {
  const flags = { ...outer };
  const seen = new Set<string>();
  let unicode = false;
  let last = "";
  for (; scanner.current() !== ":" && scanner.current() !== ")"; scanner.bump()) {
    last = scanner.current();
    const name = NAMES[last];
    if (seen.has(last) || (name === undefined && last !== "-")) throw new RegexSyntaxError(`flag ${last}`);
    const on = !seen.has("-");
    seen.add(last);
    if (name === "unicode") unicode = on;
    else if (name !== undefined && name !== "greed") flags[name] = on;
  }
  if (last === "-") throw new RegexSyntaxError("no flag after -");
  return { flags, unicode, given: seen.size > 0 };
}
