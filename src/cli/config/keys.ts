/** What the keys of seal.toml mean: which option, and values of which type. */
import type { TomlTable, TomlValue } from "smol-toml";
import { SealError } from "../../errors.ts";
import type { Command } from "../command.ts";
import type { RawValue } from "../options/check.ts";
import type { Option } from "../options/declaration.ts";
import { spellings } from "../options/spelling.ts";

/** The keys that lead to a value: `["lint", "skip"]`. */
export type KeyPath = readonly string[];

export function isTable(value: TomlValue): value is TomlTable {
  return typeof value === "object" && !Array.isArray(value) && !(value instanceof Date);
}

/** An entry of seal.toml. */
export interface TomlEntry {
  /** The verb whose table it is in; null: at the top, for every verb that has the option. */
  readonly verb: string | null;
  /** As written there. */
  readonly key: string;
  readonly path: KeyPath;
  readonly value: TomlValue;
}

/** All entries of a file. @param verbs names of all verbs */
export function tomlEntries(table: TomlTable, verbs: ReadonlySet<string>): TomlEntry[] {
  return Object.entries(table).flatMap(([key, value]): TomlEntry[] => {
    if (!verbs.has(key) || !isTable(value)) return [{ verb: null, key, path: [key], value }];
    return Object.entries(value).map(([name, inner]) => ({ verb: key, key: name, path: [key, name], value: inner }));
  });
}

/** An option or argument that a key means, and what the key makes of it. */
export interface Meaning {
  /** Camel-case name of the option. */
  readonly key: string;
  readonly option: Option;
  readonly negates: boolean;
}

/**
 * What a key means for a verb; null when the verb has no such option or argument.
 * @param options.alias whether another spelling of an option counts: not where it is another option's own name
 */
export function meaningOf(command: Command, key: string, { alias }: { readonly alias: boolean }): Meaning | null {
  const known = spellings(command.options);
  const own = known.find(({ name }) => name === key);
  if (own !== undefined) return own;
  const argument = Object.hasOwn(command.arguments, key) ? command.arguments[key] : undefined;
  if (argument !== undefined) return { key, option: argument, negates: false };
  return (alias ? known.find(({ option, negates }) => !negates && option.aliases.includes(`--${key}`)) : null) ?? null;
}

/**
 * The value in the shape that the command line gives: a text, a list of texts, a boolean.
 * @param subject names the entry in messages
 * @throws SealError `usage` for a value of another type, and for what the command line can't hold
 */
export function checkedValue(subject: string, { option, negates }: Meaning, value: TomlValue): RawValue {
  const raw = rawValue(negates ? "nothing" : option.takes, option, value);
  if (raw === null) {
    throw new SealError("usage", `${subject}: takes ${wanted({ option, negates })}, not ${kindOf(value)}`);
  }
  if (String(raw).includes("\0")) throw new SealError("usage", `${subject}: contains a NUL character`);
  return raw;
}

/** Whether a value is of the type that the option takes. */
export function takesType({ option, negates }: Meaning, value: TomlValue): boolean {
  return rawValue(negates ? "nothing" : option.takes, option, value) !== null;
}

/** Null: that is nothing that such an option takes. */
function rawValue(takes: Option["takes"], option: Option, value: TomlValue): RawValue | null {
  switch (takes) {
    case "nothing":
      return typeof value === "boolean" ? value : null;
    case "value":
      return single(option, value);
    case "optional":
      return typeof value === "boolean" ? value : single(option, value);
    case "list": {
      const items = (Array.isArray(value) ? value : [value]).map((one) => single(option, one));
      return items.includes(null) ? null : items;
    }
  }
}

function single({ form }: Option, value: TomlValue): string | null {
  if (form?.kind === "number") return typeof value === "number" || typeof value === "bigint" ? String(value) : null;
  return typeof value === "string" ? value : null;
}

function wanted({ option, negates }: Pick<Meaning, "option" | "negates">): string {
  const { takes, form } = option;
  if (negates || takes === "nothing") return "true or false";
  const isNumber = form?.kind === "number";
  if (takes === "list") return isNumber ? "a list of numbers" : "a list of strings";
  const one = isNumber ? "a number" : "a string";
  return takes === "optional" ? `true, false or ${one}` : one;
}

function kindOf(value: TomlValue): string {
  if (Array.isArray(value)) return "a list";
  if (value instanceof Date) return "a time; put it in quotes";
  switch (typeof value) {
    case "string":
      return "a string";
    case "boolean":
      return String(value);
    case "object":
      return "a table";
    default:
      return `a number: write "${value}"`;
  }
}
