/**
 * The kit that options are declared with. One declaration makes the flag, the check of its value, the line on the help
 * page with the default that applies, the completion and the key in seal.toml; the type of the value follows from it:
 *
 *     optionGroup("Digest", {
 *       algorithm: choice(["sha512", "sha256"], { default: "sha512", help: "fs-verity hash" }),  // "sha512" | "sha256"
 *       jobs: count({ min: 1, max: 1024, help: "threads", shownDefault: "all cores" }),           // number | undefined
 *       key: path({ help: "private key", aliases: ["--secureboot-private-key"] }),                // string | undefined
 *     });
 *
 * Arguments of a verb are declared with the same functions.
 */
import type { z } from "zod";
import { type Check, checkBoolean, checkEach, checkFlag, checkMaybe, checkSchema, checkText } from "./check.ts";
import {
  type Defaulted,
  type Described,
  described,
  type Many,
  type Option,
  type Optional,
  type OptionSettings,
  type Required,
} from "./declaration.ts";
import { writes } from "./risk.ts";

/** An option with a value of any type. @param type the schema of one text, made when a text is to be checked */
export function value<Type>(type: () => z.ZodType<Type>, settings: Many<string>): Option<readonly Type[]>;
export function value<Type>(type: () => z.ZodType<Type>, settings: Defaulted<string> | Required): Option<Type>;
export function value<Type>(type: () => z.ZodType<Type>, settings: Optional): Option<Type | undefined>;
export function value<Type>(type: () => z.ZodType<Type>, settings: OptionSettings<string>): Option<unknown> {
  return declared(checkSchema(type), settings);
}

/**
 * An option with a text that is converted to a value.
 * @param read returns the value, or throws what the user is shown; it never gets an empty text
 */
export function parsed<Type>(read: (text: string) => Type, settings: Defaulted<string> | Required): Option<Type>;
export function parsed<Type>(read: (text: string) => Type, settings: Optional): Option<Type | undefined>;
export function parsed<Type>(read: (text: string) => Type, settings: OptionSettings<string>): Option<unknown> {
  const accept = (given: string) => (given === "" ? null : { value: read(given) });
  const check = checkText(accept, settings.problem ?? settings.required ?? "give a value");
  return declared((raw) => {
    const checked = check(raw);
    return checked.success ? { success: true, data: checked.data.value } : checked;
  }, settings);
}

/** An option with one text or several. @param check of one */
function declared(check: Check<unknown>, settings: OptionSettings<string>): Option<unknown> {
  const { many = false, default: given, required } = settings;
  const absent = given ?? (many ? [] : undefined);
  const isThere = given !== undefined || required !== undefined;
  return {
    ...described(settings),
    takes: many ? "list" : "value",
    placeholder: settings.placeholder ?? "value",
    complete: settings.complete ?? null,
    form: settings.form ?? null,
    absent,
    shown: settings.shownDefault ?? (given === undefined ? null : [given].flat().join(", ")),
    required: required ?? null,
    check: many ? checkEach(check) : isThere ? check : checkMaybe(check),
  };
}

/** An option with a text. @param settings with `problem` or `required`, an empty text is refused */
export function text(settings: Many<string>): Option<readonly string[]>;
export function text(settings: Defaulted<string> | Required): Option<string>;
export function text(settings: Optional): Option<string | undefined>;
export function text(settings: OptionSettings<string>): Option<unknown> {
  const problem = settings.problem ?? settings.required;
  const accept = (given: string) => (given === "" && problem !== undefined ? null : given);
  return declared(checkText(accept, problem ?? "give a text"), settings);
}

/** Elsewhere it is standard output, and no one expects a file of that name. */
const NO_STDOUT = {
  success: false,
  problems: ["- is not standard output here; give a path, ./- for a file of that name"],
} as const;

/**
 * An option with the path of a file, or of a directory where that is what completion offers; an empty one is refused,
 * and so is `-` where something is written, but for what goes to standard output then.
 */
export function path(settings: Many<string>): Option<readonly string[]>;
export function path(settings: Defaulted<string> | Required): Option<string>;
export function path(settings: Optional): Option<string | undefined>;
export function path(settings: OptionSettings<string>): Option<unknown> {
  const { complete = "file" } = settings;
  const isDirectory = complete === "directory";
  const problem = settings.problem ?? settings.required ?? (isDirectory ? "give a directory" : "give a path");
  const placeholder = settings.placeholder ?? (isDirectory ? "dir" : "file");
  const check = checkText((given) => (given === "" ? null : given), problem);
  const refusesDash = settings.risk === writes && settings.dash !== "stdout";
  return declared(refusesDash ? (raw) => (raw === "-" ? NO_STDOUT : check(raw)) : check, {
    ...settings,
    complete,
    placeholder,
  });
}

/**
 * An option with a path, and `--no-x` for what a configuration or the environment gives.
 * @param settings `no`: what `--no-x` does
 * @returns its value is false where it was turned off
 */
export function pathOrOff(settings: Optional & { readonly no: string }): Option<string | false | undefined> {
  const { no, ...others } = settings;
  const given = path(others);
  return {
    ...given,
    no: { help: no },
    check: (raw) => (raw === false ? { success: true, data: raw } : given.check(raw)),
  };
}

type Words = readonly [string, ...string[]];

/** An option with one of some words, which completion offers. */
export function choice<const W extends Words>(words: W, settings: Many<W[number]>): Option<readonly W[number][]>;
export function choice<const W extends Words>(words: W, settings: Defaulted<W[number]> | Required): Option<W[number]>;
export function choice<const W extends Words>(words: W, settings: Optional): Option<W[number] | undefined>;
export function choice<const W extends Words>(words: W, settings: OptionSettings<W[number]>): Option<unknown> {
  const { problem = `give one of ${words.join(", ")}` } = settings;
  const accept = (given: string) => words.find((word) => word === given) ?? null;
  return declared(checkText(accept, problem), { complete: words, form: { kind: "words", words }, ...settings });
}

/** An option with some of a list of words, separated by commas or blanks; an empty text stands for all of them. */
export function some<const W extends Words>(
  words: W,
  settings: Defaulted<string> | Required,
): Option<readonly W[number][]>;
export function some<const W extends Words>(words: W, settings: Optional): Option<readonly W[number][] | undefined>;
export function some<const W extends Words>(words: W, settings: OptionSettings<string>): Option<unknown> {
  const { problem = `give some of ${words.join(", ")}` } = settings;
  const accept = (given: string): readonly W[number][] | null => {
    const list = splitList(given).map((one) => words.find((word) => word === one));
    if (list.length === 0) return words;
    return list.every((one) => one !== undefined) ? list : null;
  };
  return declared(checkText(accept, problem), settings);
}

/** One comma may end the list; another empty entry is wrong for what comes next. */
export function splitList(given: string): string[] {
  const trimmed = given.trim().replace(/,$/, "").trimEnd();
  return trimmed === "" ? [] : trimmed.split(/\s*,\s*|\s+/);
}

/** The limits of a number, and what it is a number of: `seconds`. */
interface Range {
  readonly min: number;
  readonly max: number;
  readonly of?: string;
}

/** An option with a whole number, in decimal digits. */
export function count(settings: Range & Many<number>): Option<readonly number[]>;
export function count(settings: Range & (Defaulted<number> | Required)): Option<number>;
export function count(settings: Range & Optional): Option<number | undefined>;
export function count(settings: Range & OptionSettings<number>): Option<unknown> {
  const { min, max, of, default: given, ...others } = settings;
  const number = `a whole number from ${min} to ${max}`;
  const { problem = of === undefined ? `give ${number}` : `give ${of}, ${number}` } = settings;
  const accept = (given: string) => {
    const isInRange = /^\d{1,15}$/.test(given) && Number(given) >= min && Number(given) <= max;
    return isInRange ? Number(given) : null;
  };
  const typed = given === undefined ? {} : { default: Array.isArray(given) ? given.map(String) : String(given) };
  const form = { kind: "number", min, max } as const;
  return declared(checkText(accept, problem), { placeholder: "n", form, ...others, ...typed });
}

/** A flag: true when it is given. @param settings `no: "hidden"`: ukify's `--no-x` is taken too */
export function flag(settings: Described & { readonly no?: "hidden" }): Option<boolean> {
  return { ...described(settings), no: settings.no ?? null, absent: false, check: checkBoolean };
}

/** A flag that is on: false when its `--no-x` is given. */
export function off(settings: Described): Option<boolean> {
  return { ...described(settings), no: "only", absent: true, check: checkBoolean };
}

/**
 * A flag that can be given both ways, `--x` and `--no-x`; undefined where it is left out.
 * @param settings `no`: what `--no-x` does
 */
export function either(
  settings: Described & { readonly no: string; readonly shownDefault: string },
): Option<boolean | undefined> {
  const { no, shownDefault } = settings;
  return { ...described(settings), no: { help: no }, shown: shownDefault, check: checkMaybe(checkBoolean) };
}

/** A flag that can have one of some words too: `--json`, `--json pretty`; false where it is left out. */
export function flagOrChoice<const W extends Words>(
  words: W,
  settings: Described & { readonly placeholder: string },
): Option<boolean | W[number]> {
  const problem = `give no value, ${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
  const check = checkFlag(words, problem);
  const form = { kind: "words", words } as const;
  return { ...described(settings), takes: "optional", placeholder: settings.placeholder, form, absent: false, check };
}
