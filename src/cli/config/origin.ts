/** Where the value of an option comes from. */
import type { RawValue } from "../options/check.ts";

export type Origin =
  /** `name`: as it was typed, `--secureboot-private-key`; an argument has no dashes. */
  | { readonly kind: "flag"; readonly name: string }
  | { readonly kind: "environment"; readonly name: string }
  /** `name`: as written there; `found`: the file was not named, but found in the working directory. */
  | {
      readonly kind: "file";
      readonly name: string;
      readonly path: string;
      readonly line: number;
      readonly found: boolean;
    };

/** What was given for an option, and where. */
export interface Setting {
  readonly raw: RawValue;
  readonly origin: Origin;
}

/** By the option's camel-case name. */
export type Settings = ReadonlyMap<string, Setting>;

/** What messages call an option that was given there: `--key`, `SEAL_KEY`, `seal.toml:3: key`. */
export function nameOf(origin: Origin): string {
  return origin.kind === "file" ? `${origin.path}:${origin.line}: ${origin.name}` : origin.name;
}
