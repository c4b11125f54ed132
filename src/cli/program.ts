/** Between the options of a verb as data and commander: definitions in, collected values out. */
import { Option, type Command as Program } from "commander";
import { argumentKey, type Command, type OptionSpec } from "./command.ts";

/** A verb's options in seal.toml, under their long names without dashes. */
export type ConfigValues = Readonly<Record<string, unknown>>;

/** Defines arguments, options and the help page of a verb. */
export function defineOptions(sub: Program, command: Command): void {
  for (const argument of command.arguments) sub.argument(argument.name, argument.description);
  for (const spec of command.options) sub.addOption(toOption(spec));
  if (command.examples.length > 0) sub.addHelpText("before", () => examplesText(sub, command));
}

function toOption(spec: OptionSpec): Option {
  const shown = spec.default === undefined ? spec.description : `${spec.description} (default: ${spec.default})`;
  const option = new Option(withoutDots(spec.flags), shown).hideHelp(spec.hidden ?? false);
  if (spec.group !== undefined) option.helpGroup(`${spec.group}:`);
  // A repeatable option takes one value each time. Commander's own variadic form would swallow the arguments behind it.
  if (isRepeatable(spec))
    option.argParser((value: string, previous: string[] | undefined) => [...(previous ?? []), value]);
  return option;
}

export function isRepeatable(spec: OptionSpec): boolean {
  return spec.flags.includes("...");
}

/** Whether the option takes a value. */
export function takesValue(spec: OptionSpec): boolean {
  return /[<[]/.test(spec.flags);
}

/** The long name of an option without its dashes: `write-image-to`, `no-kargs-d`. */
export function longName(spec: OptionSpec): string {
  const match = /--([a-z0-9-]+)/.exec(spec.flags);
  if (match?.[1] === undefined) throw new Error(`option without a long name: ${spec.flags}`);
  return match[1];
}

function withoutDots(flags: string): string {
  return flags.replace("...", "");
}

function examplesText(sub: Program, command: Command): string {
  const name = sub.parent?.parent ? `${sub.parent.name()} ${sub.name()}` : sub.name();
  const lines = command.examples.map(([example, what]) => `  $ seal ${name} ${example}\n      ${what}`);
  return `Examples:\n${lines.join("\n")}\n`;
}

/** Other spellings of options, replaced by the one that the verb defines; what stands behind `--` is left alone. */
export function replaceAliases(argv: readonly string[], options: readonly OptionSpec[]): string[] {
  const names = new Map(options.flatMap((spec) => (spec.aliases ?? []).map((alias) => [alias, `--${longName(spec)}`])));
  const end = argv.includes("--") ? argv.indexOf("--") : argv.length;
  return argv.map((argument, index) => {
    if (index >= end || !argument.startsWith("--")) return argument;
    const [name = "", ...rest] = argument.split("=");
    const canonical = names.get(name);
    return canonical === undefined ? argument : [canonical, ...rest].join("=");
  });
}

/** Values of options and arguments by camel-case name; what the command line does not say is taken from the configuration. */
export function rawOptions(sub: Program, command: Command, config: ConfigValues): Record<string, unknown> {
  const raw: Record<string, unknown> = { ...sub.opts() };
  const isRuled = (spec: OptionSpec) => spec.goesWith !== undefined;
  for (const spec of command.options.toSorted((a, b) => Number(isRuled(a)) - Number(isRuled(b)))) {
    const value = config[longName(spec)];
    const key = toOption(spec).attributeName();
    const given = sub.getOptionValueSource(key) === "cli";
    if (value === undefined || given || (spec.goesWith !== undefined && raw[spec.goesWith] !== true)) continue;
    raw[key] = toOption(spec).negate ? !value : value;
  }
  for (const [index, argument] of command.arguments.entries()) {
    const key = argumentKey(argument);
    raw[key] = sub.processedArgs[index] ?? config[key];
  }
  return raw;
}
