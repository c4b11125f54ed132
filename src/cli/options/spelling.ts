/** How declared options are spelled: what the command line, seal.toml and completion know of them. */

import type { Option } from "./declaration.ts";
import type { Declarations } from "./group.ts";

/** One name of an option: a flag that can be turned off has two. */
export interface Spelling {
  /** Long name without dashes: `write-image-to`, `no-kargs-d`. */
  readonly name: string;
  /** Camel-case name of the option. */
  readonly key: string;
  readonly option: Option;
  /** Whether it turns the option off. */
  readonly negates: boolean;
  readonly help: string;
  readonly hidden: boolean;
}

/** `pcrBanks` as `pcr-banks`. */
export function kebabCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The environment variable of an option: `passphraseFile` is that of `SEAL_PASSPHRASE_FILE`. */
export function variableOf(name: string): string {
  return `SEAL_${kebabCase(name).replaceAll("-", "_").toUpperCase()}`;
}

/** The heading on the help page: options that must be given have one of their own. */
export function headingOf({ required, heading }: Option): string | null {
  return required === null ? heading : "Required";
}

/** Those that must be given in front of the others. */
export function requiredFirst(all: readonly Spelling[]): Spelling[] {
  return [...all].sort((a, b) => Number(a.option.required === null) - Number(b.option.required === null));
}

/** All names of options, in their order. */
export function spellings(declarations: Declarations): Spelling[] {
  return Object.entries(declarations).flatMap(([key, option]) => {
    const { no, help, hidden } = option;
    const on = { name: kebabCase(key), key, option, negates: false, help, hidden };
    const turnedOff = { ...on, name: `no-${on.name}`, negates: true };
    switch (no) {
      case null:
        return [on];
      case "only":
        return [turnedOff];
      case "hidden":
        return [on, { ...turnedOff, help: "don't", hidden: true }];
      default:
        return [on, { ...turnedOff, help: no.help }];
    }
  });
}
