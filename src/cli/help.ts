/** The part of a verb's help page that commander does not write: examples. */
import type { Command } from "./command.ts";
import type { Verb } from "./verbs.ts";

/** Examples of a verb, each with what it does, for the end of its help page. */
export function helpText(verb: Verb, command: Command): string {
  if (command.examples.length === 0) return "";
  const lines = command.examples.map(([example, what]) => `  $ seal ${verb.name} ${example}\n      ${what}`);
  return `\nExamples:\n${lines.join("\n")}`;
}
