/** Between the options of a verb as data and commander: definitions in, collected values out. */
import { Option as CommanderOption, type Command as Program } from "commander";
import type { Command } from "./command.ts";
import type { RawValue } from "./options/check.ts";
import type { Option } from "./options/declaration.ts";
import type { Declarations } from "./options/group.ts";
import type { RawValues } from "./options/parse.ts";
import { headingOf, requiredFirst, type Spelling, spellings, variableOf } from "./options/spelling.ts";
import { wrapped } from "./terminal/help.ts";

/** Defines arguments, options and the help page of a verb. */
export function defineOptions(sub: Program, command: Command): void {
  for (const [name, argument] of Object.entries(command.arguments)) {
    const word = argument.takes === "list" ? `${name}...` : name;
    sub.argument(argument.required === null ? `[${word}]` : `<${word}>`, withDefault(argument.help, argument));
  }
  addOptions(sub, command.options);
  // It has to be typed, so it is shown where one looks first.
  const required = spellings(command.options).filter(({ option }) => option.required !== null);
  if (required.length > 0) {
    const flags = required.map(({ name, option: { placeholder } }) => `--${name} <${placeholder}>`);
    const words = sub.registeredArguments.map((argument) => {
      const word = `${argument.name()}${argument.variadic ? "..." : ""}`;
      return argument.required ? `<${word}>` : `[${word}]`;
    });
    sub.usage([...flags, "[options]", ...words].join(" "));
  }
  if (command.examples.length > 0) sub.addHelpText("before", () => examplesText(sub, command));
}

export function addOptions(program: Program, options: Declarations): void {
  for (const spelling of requiredFirst(spellings(options))) program.addOption(toOption(spelling));
}

function toOption({ name, key, option, negates, help, hidden }: Spelling): CommanderOption {
  const { short, takes, placeholder, env } = option;
  const letter = short === null ? "" : `-${short}, `;
  const taken = { nothing: "", value: ` <${placeholder}>`, list: ` <${placeholder}>`, optional: ` [${placeholder}]` };
  const also = env && !negates ? ` (also ${variableOf(key)})` : "";
  const shown = negates && option.no !== "only" ? help : withDefault(`${help}${also}`, option);
  const result = new CommanderOption(`${letter}--${name}${negates ? "" : taken[takes]}`, shown).hideHelp(hidden);
  const group = headingOf(option);
  if (group !== null) result.helpGroup(`${group}:`);
  // A repeatable option takes one value each time. Commander's own variadic form would swallow the arguments after it.
  if (takes === "list")
    result.argParser((value: string, previous: string[] | undefined) => [...(previous ?? []), value]);
  return result;
}

function withDefault(help: string, { shown }: Option): string {
  return shown === null ? help : `${help} (default: ${shown})`;
}

function examplesText(sub: Program, command: Command): string {
  const name = sub.parent?.parent ? `${sub.parent.name()} ${sub.name()}` : sub.name();
  const columns = sub.configureOutput().getOutHelpWidth?.() ?? 80;
  const lines = command.examples.map(
    ([example, what]) => `  $ ${`seal ${name} ${example}`.trimEnd()}\n${wrapped(what, columns, "      ")}`,
  );
  return `Examples:\n${lines.join("\n")}\n`;
}

/**
 * Other spellings of options, replaced by the one that the verb defines; what follows `--` is left alone.
 * @returns also which were used, by the option's camel-case name: messages name options as they were typed
 */
export function replaceAliases(
  argv: readonly string[],
  options: Declarations,
): { readonly args: string[]; readonly used: ReadonlyMap<string, string> } {
  const known = new Map(
    spellings(options).flatMap(({ name, key, option, negates }) =>
      negates ? [] : option.aliases.map((alias) => [alias, { key, name: `--${name}` }]),
    ),
  );
  const used = new Map<string, string>();
  const end = argv.includes("--") ? argv.indexOf("--") : argv.length;
  const args = argv.map((argument, index) => {
    if (index >= end || !argument.startsWith("--")) return argument;
    const [alias = "", ...rest] = argument.split("=");
    const own = known.get(alias);
    if (own === undefined) return assignedFlag(argument, options) ?? argument;
    used.set(own.key, alias);
    return [own.name, ...rest].join("=");
  });
  return { args, used };
}

/**
 * `--x=false` is `--no-x`: so programs written in Go take flags, skopeo and podman among them.
 * @returns null for any other text
 */
function assignedFlag(argument: string, options: Declarations): string | null {
  const [, name, value] = /^--([a-z-]+)=(true|false)$/.exec(argument) ?? [];
  if (name === undefined) return null;
  const names = new Set(spellings(options).map((spelling) => spelling.name));
  const wanted = value === "true" ? name : `no-${name}`;
  return names.has(wanted) && names.has(`no-${name}`) ? `--${wanted}` : null;
}

/** What the command line says of options, by camel-case name. */
function typedOptions(program: Program, options: Declarations): Record<string, RawValue> {
  const given = Object.keys(options).filter((key) => program.getOptionValueSource(key) === "cli");
  return Object.fromEntries(given.map((key) => [key, program.getOptionValue(key)]));
}

/** What was typed for options and arguments, by camel-case name. */
export function typedValues(sub: Program, command: Pick<Command, "arguments" | "options">): RawValues {
  const typed = typedOptions(sub, command.options);
  for (const [index, name] of Object.keys(command.arguments).entries()) {
    const value: RawValue | undefined = sub.processedArgs[index];
    if (value !== undefined && !(Array.isArray(value) && value.length === 0)) typed[name] = value;
  }
  return typed;
}
