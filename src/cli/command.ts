/**
 * What a verb of the command line is: data that main turns into a commander command, its help page, its completion and
 * its keys in seal.toml, and one function that runs it.
 */
import type { Context } from "./context.ts";
import type { Declarations, OptionGroup, Values } from "./options/group.ts";
import { parseValues, type RawValues } from "./options/parse.ts";

/** Commands as they would be typed, each with what it does. */
type Examples = readonly (readonly [command: string, what: string])[];

export interface CommandSpec<Arguments extends Declarations, Options extends Declarations> {
  /** They come first on the help page. */
  readonly examples: Examples;
  /** In the order in which they are typed. One that may be left out has a default or can be undefined. */
  readonly arguments: Arguments;
  readonly options: OptionGroup<Options>;
  /**
   * The verb takes ukify's own configuration; where the machine has one, it counts unless one of
   * these options is given.
   */
  readonly ukifyDefaultsUnless?: readonly (keyof Options & string)[];
  /** @returns the exit code when the work was done: 0, or 1 when it is a check that failed */
  readonly run: (context: Context, values: NoInfer<Values<Arguments> & Values<Options>>) => Promise<0 | 1>;
}

/** A verb as main sees it; the types of its values are closed over. */
export interface Command {
  readonly examples: Examples;
  readonly arguments: Declarations;
  readonly options: Declarations;
  /** Options without which ukify's own configuration counts, where the machine has one; null: the verb takes none. */
  readonly ukifyDefaultsUnless: readonly string[] | null;
  /**
   * Checks what was given and runs the verb.
   * @param origins what to call options, by camel-case name, that come from elsewhere than the command line
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
export function defineCommand<Arguments extends Declarations, Options extends Declarations>(
  spec: CommandSpec<Arguments, Options>,
): Command {
  const { examples, arguments: args, options, ukifyDefaultsUnless = null, run } = spec;
  return {
    examples,
    arguments: args,
    options: options.declarations,
    ukifyDefaultsUnless,
    execute: async (context, raw, origins) => run(context, parseValues(args, options.declarations, raw, origins)),
  };
}
