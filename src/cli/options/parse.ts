/** From what was given to values: defaults, checks of each option, and of how options go together. */
import { SealError } from "../../errors.ts";
import type { Checked, RawValue } from "./check.ts";
import type { Option } from "./declaration.ts";
import type { Declarations, Values } from "./group.ts";
import { kebabCase } from "./spelling.ts";

/** What was given, by camel-case name. */
export type RawValues = Readonly<Record<string, RawValue | undefined>>;

/**
 * Checks what was given. Options that contradict each other are looked for when each by itself is right.
 * @param origins what to call options, by camel-case name, that come from elsewhere than the command line
 * @returns the value of each option and argument
 * @throws SealError `usage` with all problems in one line
 */
export function parseValues<Arguments extends Declarations, Options extends Declarations>(
  args: Arguments,
  options: Options,
  raw: RawValues,
  origins: ReadonlyMap<string, string> = new Map(),
): Values<Arguments> & Values<Options> {
  const declarations: Declarations = { ...args, ...options };
  const named = (name: string) =>
    origins.get(name) ?? (Object.hasOwn(args, name) ? name : flagOf(name, declarations[name]));
  const values: { [name: string]: unknown } = {};
  const problems: string[] = [];
  for (const [name, option] of Object.entries(declarations)) {
    const parsed = checkOption(option, raw[name]);
    if (parsed.success) values[name] = parsed.data;
    else problems.push(...parsed.problems.map((problem) => `${named(name)}: ${problem}`));
  }
  if (problems.length === 0) problems.push(...contradictions(declarations, raw, named));
  if (problems.length > 0) throw new SealError("usage", problems.join("; "));
  // Each value is what its field gives, which is what the types of the declarations say.
  return values as Values<Arguments> & Values<Options>;
}

function checkOption(option: Option, given: RawValue | undefined): Checked<unknown> {
  const raw = orAbsent(option, given);
  if (option.required !== null && !isSet(raw)) return { success: false, problems: [option.required] };
  return option.check(raw);
}

/**
 * What counts: what was given, else the default. An empty list, which only a configuration can hold, is nothing given.
 */
function orAbsent(option: Option, given: RawValue | undefined): RawValue | undefined {
  const isEmpty = Array.isArray(given) && given.length === 0;
  return given === undefined || isEmpty ? option.absent : given;
}

function isSet(raw: RawValue | undefined): boolean {
  return raw !== undefined && raw !== false && !(Array.isArray(raw) && raw.length === 0);
}

/** Whether the option's effect is wanted; `--no-x` of an option that is off anyway does not count. */
export function isGiven(option: Option, raw: RawValue | undefined): boolean {
  return option.no === "only" ? raw === false : isSet(raw);
}

/** One line for each option that lacks another one that it requires, or is given with one that it excludes. */
function contradictions(declarations: Declarations, raw: RawValues, named: (name: string) => string): string[] {
  const problems: string[] = [];
  const pairs = new Set<string>();
  for (const [name, option] of Object.entries(declarations)) {
    if (!isGiven(option, raw[name])) continue;
    const missing = missingRequirement(declarations, option, raw, named);
    if (missing !== null) problems.push(`${named(name)}: ${missing}`);
    for (const [other, problem] of option.excludes) {
      const rival = declarations[other];
      if (rival === undefined || other === name || !isGiven(rival, raw[other])) continue;
      const pair = [name, other].toSorted().join();
      if (!pairs.has(pair)) {
        problems.push(`${named(name)}${problem === null ? ` and ${named(other)}: give one of them` : `: ${problem}`}`);
      }
      pairs.add(pair);
    }
  }
  return [...new Set(problems)];
}

/** What is missing for an option; null: nothing. */
export function missingRequirement(
  declarations: Declarations,
  { requires }: Option,
  raw: RawValues,
  named: (name: string) => string = (name) => `--${kebabCase(name)}`,
): string | null {
  if (requires === null) return null;
  const { anyOf, matching = /(?:)/, problem } = requires;
  const known = anyOf.flatMap((name) => {
    const option = declarations[name];
    return option === undefined ? [] : [{ name, raw: orAbsent(option, raw[name]) }];
  });
  const there = known.filter((one) => isSet(one.raw));
  if (there.some((one) => matching.test(String(one.raw)))) return null;
  if (problem === undefined) return `requires ${known.map(({ name }) => named(name)).join(" or ")}`;
  return typeof problem === "string" ? problem : problem(String(there[0]?.raw ?? ""));
}

/** An option as a user would type it. */
function flagOf(name: string, option: Option | undefined): string {
  return `--${option?.no === "only" ? "no-" : ""}${kebabCase(name)}`;
}
