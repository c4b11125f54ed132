/**
 * What a verb of the command line is: data that main turns into a commander command, its help page, its completion and
 * its keys in seal.toml, and one function that runs it.
 */
import type { z } from "zod";
import { SealError } from "../errors.ts";
import type { Context } from "./context.ts";

/** One option of a verb, in commander's notation: `--erofs <version...>` may be given several times. */
export interface OptionSpec {
  readonly flags: string;
  readonly description: string;
  /** Heading on the help page it stands under. */
  readonly group?: string;
  /** Shown on the help page; the value itself is set by the schema. */
  readonly default?: string;
  /** Other long names that mean the same, with dashes: `--uki`. */
  readonly aliases?: readonly string[];
  /** What completion offers: these words, or paths of a kind. */
  readonly complete?: readonly string[] | "file" | "directory";
  /** Accepted, but not shown. */
  readonly hidden?: boolean;
  /** Camel-case name of a flag that it goes with: without that it is passed over in seal.toml, where it may stand for other verbs. */
  readonly goesWith?: string;
}

/** A positional argument, in commander's notation: `[rootfs]`, `<file...>`. */
export interface ArgumentSpec {
  readonly name: string;
  readonly description: string;
}

export interface CommandSpec<Options> {
  /** Commands first, as they would be typed; each with what it does. */
  readonly examples: readonly (readonly [command: string, what: string])[];
  readonly arguments?: readonly ArgumentSpec[];
  readonly options: readonly OptionSpec[];
  /**
   * Checks what commander collected: option values under their camel-case name, arguments under theirs. An option
   * without value is `true`; one with `...` is an array.
   */
  readonly schema: z.ZodType<Options>;
  /** Whether ukify's own configuration counts, where the machine has one: only in ukify's mode. Without, the verb takes none. */
  readonly ukifyDefaults?: (raw: RawOptions) => boolean;
  /** @returns the exit code when the work was done: 0, or 1 when it is a check that failed */
  readonly run: (context: Context, options: Options) => Promise<0 | 1>;
}

/** What commander and the configuration gave, by camel-case name, before it is checked. */
export type RawOptions = Readonly<Record<string, unknown>>;

/** A verb as main sees it; `Options` is closed over. */
export interface Command {
  readonly examples: CommandSpec<unknown>["examples"];
  readonly arguments: readonly ArgumentSpec[];
  readonly options: readonly OptionSpec[];
  /** Null: the verb takes no configuration of ukify. */
  readonly ukifyDefaults: ((raw: RawOptions) => boolean) | null;
  /**
   * Checks the raw options and runs the verb.
   * @param origins what to call options, by camel-case name, that stand elsewhere than on the command line
   */
  readonly execute: (context: Context, raw: RawOptions, origins?: ReadonlyMap<string, string>) => Promise<0 | 1>;
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

/** Ties options, their schema and the function that takes them together. */
export function defineCommand<Options>(spec: CommandSpec<Options>): Command {
  return {
    examples: spec.examples,
    arguments: spec.arguments ?? [],
    options: spec.options,
    ukifyDefaults: spec.ukifyDefaults ?? null,
    execute: async (context, raw, origins = new Map()) => {
      const parsed = spec.schema.safeParse(raw, { error: describeIssue });
      if (!parsed.success) throw usageError(parsed.error, spec, origins);
      return spec.run(context, parsed.data);
    },
  };
}

/** Words for what a schema has none for. */
function describeIssue(issue: z.core.$ZodRawIssue): string | undefined {
  return issue.code === "invalid_value" ? `give one of ${issue.values.join(", ")}` : undefined;
}

/** All problems of an invocation in one line, each with the name of the option as the user typed it. */
function usageError(
  error: z.ZodError,
  spec: Pick<CommandSpec<unknown>, "arguments">,
  origins: ReadonlyMap<string, string>,
): SealError {
  const argumentNames = new Set((spec.arguments ?? []).map((argument) => argumentKey(argument)));
  const problems = error.issues.map((issue) => {
    const [key] = issue.path;
    if (key === undefined) return issue.message;
    const own = argumentNames.has(String(key)) ? String(key) : `--${kebabCase(String(key))}`;
    const name = origins.get(String(key)) ?? own;
    return `${name}: ${issue.message}`;
  });
  return new SealError("usage", problems.join("; "));
}

/** `[rootfs]` and `<file...>` without their brackets and dots. */
export function argumentKey(argument: ArgumentSpec): string {
  return argument.name.replace(/[[\]<>.]/g, "");
}

function kebabCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
