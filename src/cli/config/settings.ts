/** What counts for an invocation: the command line before the environment before the configuration. */
import { SealError } from "../../errors.ts";
import type { Command } from "../command.ts";
import type { Context } from "../context.ts";
import type { Declarations } from "../options/group.ts";
import { isGiven, missingRequirement, type RawValues } from "../options/parse.ts";
import { kebabCase, variableOf } from "../options/spelling.ts";
import { DEFAULT_FILE } from "./file.ts";
import { nameOf, type Origin, type Setting, type Settings } from "./origin.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** What was typed, by camel-case name. @param aliases other spellings that were used */
export function typedSettings(
  { arguments: args, options }: Pick<Command, "arguments" | "options">,
  typed: RawValues,
  aliases: ReadonlyMap<string, string>,
): Map<string, Setting> {
  const settings = new Map<string, Setting>();
  for (const [key, raw] of Object.entries(typed)) {
    if (raw === undefined) continue;
    const flag = `--${options[key]?.no === "only" ? "no-" : ""}${kebabCase(key)}`;
    const name = aliases.get(key) ?? (Object.hasOwn(args, key) ? key : flag);
    settings.set(key, { raw, origin: { kind: "flag", name } });
  }
  return settings;
}

/** What the environment says of options; an empty variable says nothing. */
export function environmentSettings(options: Declarations, env: Environment): Map<string, Setting> {
  const settings = new Map<string, Setting>();
  for (const [key, option] of Object.entries(options)) {
    const name = variableOf(key);
    const text = option.env ? env[name] : undefined;
    if (text === undefined || text === "") continue;
    settings.set(key, { raw: option.takes === "list" ? [text] : text, origin: { kind: "environment", name } });
  }
  return settings;
}

/** Which one wins. */
const RANKS = { flag: 2, environment: 1, file: 0 } as const;

/**
 * Joins what was given in several places. What was not typed may be meant for other invocations: it is skipped where an
 * option that it requires is not given, and where one that it excludes was given in a place that wins.
 * @param places those that win last
 */
export function joinSettings(
  { arguments: args, options }: Pick<Command, "arguments" | "options">,
  places: readonly Settings[],
): Settings {
  const declarations: Declarations = { ...args, ...options };
  const all = new Map(places.flatMap((settings) => [...settings]));
  const allowed = new Map([...all].filter(([key, setting]) => !isOverruled(declarations, key, setting, all)));
  const raw = rawValues(allowed);
  return new Map(
    [...allowed].filter(([key, { origin }]) => {
      const option = options[key];
      return origin.kind === "flag" || option === undefined || missingRequirement(declarations, option, raw) === null;
    }),
  );
}

/** Whether an option that excludes this one, or is excluded by it, was given in a place that wins. */
function isOverruled(declarations: Declarations, key: string, { raw, origin }: Setting, all: Settings): boolean {
  const option = declarations[key];
  if (option === undefined || !isGiven(option, raw)) return false;
  return [...all].some(([other, setting]) => {
    const rival = declarations[other];
    if (rival === undefined || other === key || RANKS[setting.origin.kind] <= RANKS[origin.kind]) return false;
    return isGiven(rival, setting.raw) && (option.excludes.has(other) || rival.excludes.has(key));
  });
}

/** The values alone, by camel-case name. */
export function rawValues(settings: Settings): RawValues {
  return Object.fromEntries([...settings].map(([key, { raw }]) => [key, raw]));
}

/** What messages call options, by camel-case name. */
export function namesOf(origins: ReadonlyMap<string, Origin>): ReadonlyMap<string, string> {
  return new Map([...origins].map(([key, origin]) => [key, nameOf(origin)]));
}

/** What loads a library into seal, see RFC 7512, section 2.4. */
const PKCS11_MODULE = /^pkcs11:[^?]*\?(?:.*&)?module-path=/i;

/**
 * Why a configuration that was found where seal was called can't give a value: its presence says nothing
 * about who put it there.
 * @returns words after the option's name; null: it can
 */
export function foundProblem(options: Declarations, key: string, { raw, origin }: Setting): string | null {
  if (origin.kind !== "file" || !origin.found) return null;
  if ([raw].flat().some((text) => PKCS11_MODULE.test(String(text)))) return "names a library to load";
  const risk = options[key]?.risk ?? null;
  return typeof risk === "function" ? risk(raw) : risk;
}

/**
 * Names the configuration that was found in the directory where seal was called, and what it gives.
 * @throws SealError `usage` where it gives what only one that `--config` names may
 */
export function noteFound({ ui }: Pick<Context, "ui">, options: Declarations, settings: Settings): void {
  const names: string[] = [];
  for (const [key, setting] of settings) {
    const { origin } = setting;
    if (origin.kind !== "file" || !origin.found) continue;
    const problem = foundProblem(options, key, setting);
    if (problem !== null) {
      throw new SealError(
        "usage",
        `${nameOf(origin)} ${problem}, but was only found in this directory, not named with --config. Give --config ${DEFAULT_FILE} if it is yours`,
      );
    }
    names.push(origin.name);
  }
  if (names.length === 0) return;
  ui.note(`${names.join(", ")} from ${DEFAULT_FILE} in this directory; --config names another file`);
}

/**
 * Runs a verb, in whose messages options have the names of the places that they were given in.
 * @param origins by camel-case name
 */
export async function withNames<Result>(
  origins: ReadonlyMap<string, Origin>,
  use: () => Promise<Result>,
): Promise<Result> {
  try {
    return await use();
  } catch (error) {
    if (!(error instanceof SealError) || error.code !== "usage") throw error;
    const names = new Map([...origins].map(([key, origin]) => [`--${kebabCase(key)}`, nameOf(origin)]));
    const message = error.message.replace(SUBJECTS, (subjects) =>
      subjects.replace(/--[a-z0-9-]+/g, (flag) => names.get(flag) ?? flag),
    );
    if (message === error.message) throw error;
    throw new SealError(error.code, message, { cause: error });
  }
}

/** The options that a message is about are at its beginning. */
const SUBJECTS = /^--[a-z0-9-]+(?:(?:, | and )--[a-z0-9-]+)*/;
