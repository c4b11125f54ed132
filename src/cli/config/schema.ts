/** The JSON Schema of seal.toml, for editors and for checks in CI: what options declare, and nothing besides. */
import type { Command, Verb } from "../command.ts";
import type { Option } from "../options/declaration.ts";
import { spellings } from "../options/spelling.ts";

type Schema = Readonly<Record<string, unknown>>;

export interface LoadedVerb {
  readonly verb: Pick<Verb, "name" | "summary">;
  readonly command: Pick<Command, "arguments" | "options">;
}

/** @returns a schema of JSON Schema draft 7, which editors know best */
export function configSchema(verbs: readonly LoadedVerb[]): Schema {
  const own = new Set(verbs.flatMap(({ command }) => ownKeys(command).map(([key]) => key)));
  const shared = new Map<string, Schema[]>();
  for (const { command } of verbs) {
    // An option's own name is not an alias at the top.
    const others = otherKeys(command).filter(([key]) => !own.has(key));
    for (const [key, schema] of [...ownKeys(command), ...others]) {
      shared.set(key, [...(shared.get(key) ?? []), schema]);
    }
  }
  const top = new Map([...shared].map(([key, schemas]) => [key, anyOf(schemas)]));
  for (const { verb, command } of verbs) {
    const table = {
      ...closed([...otherKeys(command), ...ownKeys(command)]),
      description: `seal ${verb.name}: ${verb.summary}`,
    };
    // A word may be a verb and an option too.
    top.set(verb.name, anyOf([table, ...(shared.get(verb.name) ?? [])]));
  }
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "seal.toml",
    description:
      "Options of seal. A top-level key applies to every verb that has the option, a key in a table to that verb only.",
    ...closed(top),
  };
}

function closed(keys: Iterable<Key>): Schema {
  return { type: "object", properties: Object.fromEntries(keys), additionalProperties: false };
}

type Key = readonly [name: string, schema: Schema];

/** The names of a verb's arguments and options. */
function ownKeys({ arguments: args, options }: LoadedVerb["command"]): Key[] {
  return [
    ...Object.entries(args).map(([name, option]): Key => [name, valueSchema(option)]),
    ...spellings(options).map(
      ({ name, option, negates, help }): Key => [
        name,
        negates ? { type: "boolean", description: help } : valueSchema(option),
      ],
    ),
  ];
}

/** Other spellings of them. */
function otherKeys({ options }: LoadedVerb["command"]): Key[] {
  return Object.values(options).flatMap((option) =>
    option.aliases.map((alias): Key => [alias.replace(/^--/, ""), valueSchema(option)]),
  );
}

/** What an option takes, as seal.toml has it. */
function valueSchema(option: Option): Schema {
  const { takes, help, shown } = option;
  const description = shown === null ? help : `${help} (default: ${shown})`;
  switch (takes) {
    case "nothing":
      return { type: "boolean", description };
    case "value":
      return { ...one(option), description };
    case "optional":
      return { anyOf: [{ type: "boolean" }, one(option)], description };
    case "list":
      return { anyOf: [one(option), { type: "array", items: one(option) }], description };
  }
}

function one({ form }: Option): Schema {
  switch (form?.kind) {
    case "words":
      return { enum: form.words };
    case "number":
      return { type: "integer", minimum: form.min, maximum: form.max };
    default:
      return { type: "string" };
  }
}

/** One of several; what verbs have in common is said once. */
function anyOf(schemas: readonly Schema[]): Schema {
  const different = [...new Map(schemas.map((schema) => [withoutWords(schema), schema])).values()];
  const [first] = different;
  return different.length === 1 && first !== undefined ? first : { anyOf: different };
}

/** What a schema takes, whatever is said of it. */
function withoutWords({ description: _, ...rest }: Schema): string {
  return JSON.stringify(rest);
}
