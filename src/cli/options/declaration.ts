/**
 * What an option can say of itself, and what becomes of that: see {@link file://./option.ts} for the
 * functions that declare one.
 */
import type { Check, RawValue } from "./check.ts";

/** Another option, by its camel-case name, without which an option means nothing. */
export interface Requirement {
  /** One of them is enough. */
  readonly anyOf: readonly string[];
  /** What its text must look like. */
  readonly matching?: RegExp;
  /** Shown after the option's name for a value that does not match; default: `requires --x`. */
  readonly problem?: string | ((text: string) => string);
}

/**
 * What could happen to a user if someone else gave the option, as words after its name: `names a program to run`; or a
 * function of what is given, null for what does no harm.
 */
export type Risk = string | ((raw: RawValue) => string | null);

/** What all options can say of themselves. */
export interface Described {
  readonly help: string;
  /** One letter that means the same: `o`. */
  readonly short?: string;
  /** Other long names that mean the same, with dashes: `--uki`. */
  readonly aliases?: readonly string[];
  /** Accepted, but not shown. */
  readonly hidden?: boolean;
  /** Why a configuration that was only found can't give it: see {@link Risk}. */
  readonly risk?: Risk;
  /**
   * Whether the environment gives it too, see {@link variableOf}: what belongs to a machine or to a run, and
   * not to what is sealed.
   */
  readonly env?: boolean;
  /**
   * Where that is not given, the option is refused; in seal.toml, where it may be meant for other
   * invocations, it is skipped.
   */
  readonly requires?: string | Requirement;
  /**
   * Options that it can't be given with, by camel-case name; with what is said then, or
   * `--x and --y: give one of them`.
   */
  readonly excludes?: readonly string[] | Readonly<Record<string, string>>;
}

/** Texts that an option takes: some words, or whole numbers, which are numbers in seal.toml. */
export type Form =
  | { readonly kind: "words"; readonly words: readonly string[] }
  | { readonly kind: "number"; readonly min: number; readonly max: number };

/** An option that takes a value. */
export interface Valued extends Described {
  /** The placeholder for the value on the help page: `file`. */
  readonly placeholder?: string;
  /** What completion offers: these words, or paths of a kind. */
  readonly complete?: readonly string[] | "file" | "directory";
  /** What `-` means in place of a path that is written; without, it is refused. */
  readonly dash?: "stdout";
  /** Said of a value that won't do. */
  readonly problem?: string;
  /** Where the kind of option does not say it. */
  readonly form?: Form;
}

/** May be left out, which gives undefined. */
export interface Optional extends Valued {
  /** What applies then, in words: a value that can be typed belongs in `default`. */
  readonly shownDefault?: string;
}

/** Has a value where it is left out: this one, as a user would type it. */
export interface Defaulted<Text> extends Valued {
  readonly default: Text;
  /** More words about it; they begin with the default. */
  readonly shownDefault?: string;
}

/** Must be given, or this is said. */
export interface Required extends Valued {
  readonly required: string;
}

/** Can be given several times, which gives a list; empty where it is left out. */
export interface Many<Text> extends Valued {
  readonly many: true;
  readonly default?: readonly Text[];
  readonly required?: string;
  readonly shownDefault?: string;
}

/** All of the above, for the functions that distinguish them. */
export interface OptionSettings<Text> extends Valued {
  readonly many?: true;
  readonly default?: Text | readonly Text[];
  readonly required?: string;
  readonly shownDefault?: string;
}

/** An option as it was declared; {@link Value} is what a verb gets. */
export interface Option<out Value = unknown> {
  /** Nothing (a flag), a value, perhaps a value (`--json [format]`), or a value each time that it is given. */
  readonly takes: "nothing" | "value" | "optional" | "list";
  readonly help: string;
  /** Of a flag: how it is turned off again. `only`: it is on, and its name is `--no-x`. */
  readonly no: "only" | "hidden" | { readonly help: string } | null;
  /** Heading on the help page. */
  readonly heading: string | null;
  readonly short: string | null;
  readonly aliases: readonly string[];
  readonly hidden: boolean;
  readonly risk: Risk | null;
  readonly env: boolean;
  /** What a text of it must be, where that can be listed. */
  readonly form: Form | null;
  readonly placeholder: string;
  readonly complete: readonly string[] | "file" | "directory" | null;
  /** Its default as it would be given; undefined: none. */
  readonly absent: RawValue | undefined;
  /** The default as the help page has it. */
  readonly shown: string | null;
  /** Said where it is missing; null: it may be. */
  readonly required: string | null;
  readonly requires: Requirement | null;
  /** Null: `give one of them`. */
  readonly excludes: ReadonlyMap<string, string | null>;
  /** The check of what was given, or of {@link absent}. */
  readonly check: Check<Value>;
}

/** The part that all options have; that of a flag, where nothing else is said. */
export function described(settings: Described): Omit<Option, "check"> {
  const { requires, excludes = [] } = settings;
  return {
    takes: "nothing",
    help: settings.help,
    no: null,
    heading: null,
    short: settings.short ?? null,
    aliases: settings.aliases ?? [],
    hidden: settings.hidden ?? false,
    risk: settings.risk ?? null,
    env: settings.env ?? false,
    placeholder: "",
    complete: null,
    form: null,
    absent: undefined,
    shown: null,
    required: null,
    requires: requires === undefined ? null : requirement(requires),
    excludes: exclusions(excludes),
  };
}

export function requirement(requires: string | Requirement): Requirement {
  return typeof requires === "string" ? { anyOf: [requires] } : requires;
}

export function exclusions(excludes: NonNullable<Described["excludes"]>): ReadonlyMap<string, string | null> {
  return new Map(Array.isArray(excludes) ? excludes.map((name) => [name, null]) : Object.entries(excludes));
}
