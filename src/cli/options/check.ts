/** What was given for options, checked. */
import type { z } from "zod";

/**
 * What the command line or a configuration gives for an option, before it is checked; null: nothing for
 * this place of a list.
 */
export type RawValue = string | boolean | readonly (string | null)[];

/** What a check makes of what was given: the value, or what is wrong with it. */
export type Checked<Value> =
  | { readonly success: true; readonly data: Value }
  | { readonly success: false; readonly problems: readonly string[] };

/** The check of what was given, in a list of one thing of it; undefined: nothing was, and there is no default. */
export type Check<Value> = (raw: RawValue | null | undefined) => Checked<Value>;

/** By a schema, made when something is to be checked. */
export function checkSchema<Value>(type: () => z.ZodType<Value>): Check<Value> {
  return (raw) => {
    const parsed = type().safeParse(raw, { error: describeIssue });
    return parsed.success ? parsed : refused(...parsed.error.issues.map(({ message }) => message));
  };
}

/** Words for what a schema has none for. */
function describeIssue(issue: z.core.$ZodRawIssue): string | undefined {
  return issue.code === "invalid_value" ? `give one of ${issue.values.join(", ")}` : undefined;
}

function refused(...problems: readonly string[]): Checked<never> {
  return { success: false, problems };
}

/**
 * What most options are, for which no schema need be made: those take longer than all else that a small command does.
 */
export function checkText<Value>(accept: (text: string) => Value | null, problem: string): Check<Value> {
  return (raw) => {
    const data = typeof raw === "string" ? accept(raw) : null;
    return data === null ? refused(problem) : { success: true, data };
  };
}

/** Of a flag, which takes words too where it has some. */
export function checkFlag<Word extends string>(words: readonly Word[], problem: string): Check<boolean | Word> {
  return (raw) => {
    const data = typeof raw === "boolean" ? raw : words.find((word) => word === raw);
    return data === undefined ? refused(problem) : { success: true, data };
  };
}

/** Of a flag without words. */
export const checkBoolean = checkFlag<never>([], "give true or false");

/** Of what may be left out. */
export function checkMaybe<Value>(check: Check<Value>): Check<Value | undefined> {
  return (raw) => (raw === undefined ? { success: true, data: undefined } : check(raw));
}

/** Of a list, all of whose problems are reported. */
export function checkEach<Value>(check: Check<Value>): Check<readonly Value[]> {
  return (raw) => {
    const data: Value[] = [];
    const problems: string[] = [];
    for (const one of Array.isArray(raw) ? raw : [raw]) {
      const checked = check(one);
      if (checked.success) data.push(checked.data);
      else problems.push(...checked.problems);
    }
    return problems.length > 0 ? refused(...problems) : { success: true, data };
  };
}
