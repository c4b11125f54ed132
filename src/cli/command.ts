/**
 * What a verb of the command line is: data that main turns into a commander command, its help page, its completion and
 * its keys in seal.toml, and one function that runs it.
 */
import type { Context } from "./context.ts";
import { type Declarations, OptionGroup, type Values } from "./options/group.ts";
import { parseValues, type RawValues } from "./options/parse.ts";

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
