/** The keys of seal.toml, as its man page lists them. */
import type { Command, Verb } from "../src/cli/command.ts";
import type { Option } from "../src/cli/options/declaration.ts";
import { spellings } from "../src/cli/options/spelling.ts";

export interface LoadedVerb {
  readonly verb: Verb;
  readonly command: Command;
}

interface Key {
  readonly name: string;
  /** What follows the equals sign, in words. */
  readonly type: string;
  readonly help: string;
  /** The verbs that have it. */
  readonly verbs: string;
  /** Whether a file that was only found can't set it. */
  readonly trusted: boolean;
}

/** In alphabetical order; a key that means different things to different verbs is listed once for each meaning. */
export function configKeys(verbs: readonly LoadedVerb[]): Key[] {
  const found = new Map<string, Omit<Key, "verbs"> & { readonly verbs: string[] }>();
  for (const { verb, command } of verbs) {
    const options = spellings(command.options).filter(({ hidden }) => !hidden);
    const all = [
      ...Object.entries(command.arguments).map(([name, option]) => ({
        name,
        option,
        negates: false,
        help: option.help,
      })),
      ...options,
    ];
    for (const { name, option, negates, help } of all) {
      const type = negates ? "true" : typeOf(option);
      const meaning = JSON.stringify([name, type, help]);
      const known = found.get(meaning) ?? { name, type, help, verbs: [], trusted: option.risk !== null };
      known.verbs.push(verb.name);
      found.set(meaning, known);
    }
  }
  return [...found.values()]
    .toSorted((a, b) => (a.name === b.name ? 0 : a.name < b.name ? -1 : 1))
    .map((key) => ({ ...key, verbs: `Verbs: ${key.verbs.join(", ")}` }));
}

function typeOf({ takes, form, placeholder }: Option): string {
  const one =
    form?.kind === "number" ? "number" : form?.kind === "words" ? `"${form.words.join("|")}"` : `"${placeholder}"`;
  switch (takes) {
    case "nothing":
      return "true";
    case "optional":
      return `true|${one}`;
    case "value":
      return one;
    case "list":
      return `[${one}, ...]`;
  }
}
