/** What `seal config` shows. */
import { z } from "zod";
import type { RawValue } from "../options/check.ts";
import type { Declarations } from "../options/group.ts";
import { kebabCase, variableOf } from "../options/spelling.ts";
import type { ConfigEntry } from "./file.ts";
import type { Origin, Setting } from "./origin.ts";
import { foundProblem } from "./settings.ts";

const value = z.union([z.string(), z.boolean(), z.array(z.string().nullable()), z.null()]);

const row = z.strictObject({
  /** As seal.toml calls it. */
  option: z.string(),
  value,
  from: z.enum(["flag", "environment", "file", "default"]),
  /** The flag or the variable. */
  name: z.string().nullable(),
  file: z.string().nullable(),
  line: z.number().nullable(),
  /** The verb whose table it is in. */
  table: z.string().nullable(),
  /** Why it is not taken. */
  problem: z.string().nullable(),
});

/** What `seal config --json` prints. Its shape is stable within a major version. */
export const configReportSchema = z.strictObject({
  verb: z.string().nullable(),
  /** The configuration that was read. */
  config: z.strictObject({ path: z.string(), kind: z.enum(["seal", "ukify"]), found: z.boolean() }).nullable(),
  options: z.array(row),
});

export type Row = z.infer<typeof row>;

/** What counts for a verb, in the order of its help page: what was given, and the defaults of the rest. */
export function verbRows(
  declarations: Declarations,
  raw: Readonly<Record<string, RawValue | undefined>>,
  origins: ReadonlyMap<string, Origin>,
): Row[] {
  return Object.entries(declarations).flatMap(([key, { absent, shown }]): Row[] => {
    const origin = origins.get(key);
    const given = raw[key];
    if (origin !== undefined && given !== undefined) return [givenRow(declarations, key, { raw: given, origin }, null)];
    const isNothing = absent === undefined || absent === false || (typeof absent !== "boolean" && absent.length === 0);
    const counts = isNothing ? shown : absent;
    return counts === null ? [] : [{ ...NOWHERE, option: kebabCase(key), value: listed(counts), from: "default" }];
  });
}

const NOWHERE = { name: null, file: null, line: null, table: null, problem: null };

/** All that is given to any verb by the environment, and by the configuration. */
export function allRows(
  environments: readonly (readonly [Declarations, Iterable<readonly [string, Setting]>])[],
  entries: readonly ConfigEntry[],
): Row[] {
  const variables = new Map<string, Row>();
  for (const [declarations, settings] of environments) {
    for (const [key, setting] of settings) variables.set(variableOf(key), givenRow(declarations, key, setting, null));
  }
  return [
    ...variables.values(),
    ...entries.map(({ verb, meaning: { key, option, negates }, raw, origin }) =>
      givenRow({ [key]: option }, key, { raw: negates ? raw === false : raw, origin }, verb),
    ),
  ];
}

function givenRow(declarations: Declarations, key: string, setting: Setting, table: string | null): Row {
  const { origin, raw } = setting;
  const isFile = origin.kind === "file";
  return {
    option: kebabCase(key),
    value: listed(raw),
    from: origin.kind,
    name: isFile ? null : origin.name,
    file: isFile ? origin.path : null,
    line: isFile ? origin.line : null,
    table,
    problem: foundProblem(declarations, key, setting),
  };
}

/** A value as it may be shown: the PIN in a URI of PKCS#11 may not. */
function listed(raw: RawValue | null): Row["value"] {
  if (raw === null || typeof raw === "boolean") return raw;
  return typeof raw === "string" ? withoutPin(raw) : raw.map((text) => (text === null ? null : withoutPin(text)));
}

function withoutPin(text: string): string {
  return text.startsWith("pkcs11:") ? text.replace(/(pin-value=)[^&]*/gi, "$1…") : text;
}

/** Rows as cells of a table. */
export function rowCells({ option, value: shown, from, name, file, line, table, problem }: Row): string[] {
  const place = file === null ? (name ?? from) : `${file}:${line}`;
  const reason = problem === null ? "" : `; ignored because it ${problem}: give --config ${file}`;
  const text = Array.isArray(shown) ? shown.map((one) => one ?? "").join(", ") : String(shown);
  return [table === null ? option : `[${table}] ${option}`, text, `${place}${reason}`];
}
