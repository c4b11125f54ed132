/**
 * What a verb of the command line is: data that main turns into a commander command, its help page, its completion and
 * its keys in seal.toml, and one function that runs it.
 */
import type { z } from "zod";
import { SealError } from "../errors.ts";
import type { Context } from "./context.ts";
import { type Declarations, OptionGroup, type Values } from "./options/group.ts";
import type { Option } from "./options/option.ts";
import { parseValues, type RawValues } from "./options/parse.ts";
import { kebabCase } from "./options/spelling.ts";

/** Commands as they would be typed, each with what it does. */
type Examples = readonly (readonly [command: string, what: string])[];

export interface CommandSpec<Arguments extends Declarations, Options extends Declarations> {
  /** They stand first on the help page. */
  readonly examples: Examples;
  /** In the order in which they are typed. One that may be left out has a default or can be undefined. */
  readonly arguments?: Arguments;
  readonly options?: OptionGroup<Options>;
  /** Whether ukify's own configuration counts, where the machine has one: only in ukify's mode. Without, the verb takes none. */
  readonly ukifyDefaults?: (raw: RawOf<Options>) => boolean;
  /** @returns the exit code when the work was done: 0, or 1 when it is a check that failed */
  readonly run: (context: Context, values: Values<Arguments> & Values<Options>) => Promise<0 | 1>;
}

/** What was given for options, by their names. */
type RawOf<Options> = { readonly [Name in keyof Options]: RawValues[string] };

/** A verb as main sees it; the types of its values are closed over. */
export interface Command {
  readonly examples: Examples;
  readonly arguments: Declarations;
  readonly options: Declarations;
  /** Null: the verb takes no configuration of ukify. */
  readonly ukifyDefaults: ((raw: RawValues) => boolean) | null;
  /**
   * Checks what was given and runs the verb.
   * @param origins what to call options, by camel-case name, that stand elsewhere than on the command line
   */
  readonly execute: (context: Context, raw: RawValues, origins?: ReadonlyMap<string, string>) => Promise<0 | 1>;
}

/** A verb before it is loaded. */
export interface Verb {
  /** What is typed: one word, or two (`keys generate`). */
  readonly name: string;
  /** Spellings of peers that mean the same. */
  readonly aliases: readonly string[];
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

/** Ties declared options and arguments to the function that takes their values. */
export function defineCommand<
  Arguments extends Declarations = Record<never, never>,
  Options extends Declarations = Record<never, never>,
>(spec: CommandSpec<Arguments, Options>): Command {
  const { examples, arguments: args = {}, options: { declarations } = new OptionGroup({}), ukifyDefaults, run } = spec;
  return {
    examples,
    arguments: args,
    options: declarations,
    ukifyDefaults: ukifyDefaults === undefined ? null : (raw) => ukifyDefaults(raw as RawOf<Options>),
    execute: async (context, raw, origins) =>
      run(context, parseValues(args, declarations, raw, origins) as Values<Arguments> & Values<Options>),
  };
}

/** One option in commander's notation, of verbs whose options are not declared with the kit yet. */
export interface OptionSpec {
  readonly flags: string;
  readonly description: string;
  readonly group?: string;
  readonly default?: string;
  readonly aliases?: readonly string[];
  readonly complete?: readonly string[] | "file" | "directory";
  readonly hidden?: boolean;
  readonly goesWith?: string;
}

export interface ArgumentSpec {
  readonly name: string;
  readonly description: string;
}

export interface OldCommandSpec<Options> {
  readonly examples: Examples;
  readonly arguments?: readonly ArgumentSpec[];
  readonly options: readonly OptionSpec[];
  readonly schema: z.ZodType<Options>;
  readonly ukifyDefaults?: (raw: RawValues) => boolean;
  readonly run: (context: Context, options: Options) => Promise<0 | 1>;
}

export function longName({ flags }: OptionSpec): string {
  return /--([a-z0-9-]+)/.exec(flags)?.[1] ?? "";
}

/** As {@link defineCommand}, for verbs whose options are not declared with the kit yet. */
export function defineOldCommand<Options>(spec: OldCommandSpec<Options>): Command {
  const args: Record<string, Option> = {};
  for (const { name, description } of spec.arguments ?? []) {
    const option = oldOption(spec.schema, { flags: name, description });
    args[name.replace(/[[\]<>.]/g, "")] = { ...option, required: name.startsWith("<") ? "give it" : null };
  }
  const options: Record<string, Option> = {};
  for (const one of spec.options) {
    const [, isOff, name = ""] = /--(no-)?([a-z0-9-]+)/.exec(one.flags) ?? [];
    const key = name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
    const other = options[key];
    if (other !== undefined) options[key] = { ...other, no: one.hidden ? "hidden" : { help: one.description } };
    else options[key] = { ...oldOption(spec.schema, one), no: isOff === undefined ? null : "only" };
  }
  return {
    examples: spec.examples,
    arguments: args,
    options,
    ukifyDefaults: spec.ukifyDefaults ?? null,
    execute: async (context, raw, origins = new Map()) => {
      const parsed = spec.schema.safeParse(raw, {
        error: (issue) => (issue.code === "invalid_value" ? `give one of ${issue.values.join(", ")}` : undefined),
      });
      if (parsed.success) return spec.run(context, parsed.data);
      const problems = parsed.error.issues.map(({ path: [key], message }) => {
        if (key === undefined) return message;
        const own = Object.hasOwn(args, key) ? String(key) : `--${kebabCase(String(key))}`;
        return `${origins.get(String(key)) ?? own}: ${message}`;
      });
      throw new SealError("usage", problems.join("; "));
    },
  };
}

function oldOption(schema: z.ZodType, spec: OptionSpec): Option {
  return {
    takes: spec.flags.includes("...")
      ? "list"
      : /\[\w+\]/.test(spec.flags) && spec.flags.startsWith("-")
        ? "optional"
        : /[<[]/.test(spec.flags)
          ? "value"
          : "nothing",
    help: spec.description,
    no: null,
    heading: spec.group ?? null,
    short: /^-(\w),/.exec(spec.flags)?.[1] ?? null,
    aliases: spec.aliases ?? [],
    hidden: spec.hidden ?? false,
    placeholder: /[<[]([^.>\]]*)/.exec(spec.flags)?.[1] ?? "",
    complete: spec.complete ?? null,
    absent: undefined,
    shown: spec.default ?? null,
    required: null,
    requires: spec.goesWith === undefined ? null : { anyOf: [spec.goesWith] },
    excludes: new Map(),
    field: () => schema,
  };
}
