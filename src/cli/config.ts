/**
 * seal.toml: options that need not be typed. A key at the top holds for every verb that has the option, a key in a table
 * named like a verb for that verb only; values mean what they mean on the command line, which wins.
 *
 *     key = "db.key"
 *     cert = "db.crt"
 *     [lint]
 *     skip = ["var-log"]
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { SealError } from "../errors.ts";
import type { Host } from "../io/host.ts";
import { readInput, SMALL_FILE } from "../io/read-input.ts";
import {
  applyUkifyConfig,
  type ConfiguredOptions,
  isUkifyConfig,
  parseUkifyConfig,
  UKIFY_CONFIG_PATHS,
  type UkifyConfig,
} from "./build-uki/ukify-config.ts";
import { argumentKey, type Command, type RawOptions, type Verb } from "./command.ts";
import type { Context } from "./context.ts";
import { type ConfigValues, isRepeatable, longName, takesValue } from "./program.ts";
import { VERBS } from "./verbs.ts";

const DEFAULT_FILE = "seal.toml";

/** What the configuration has for a verb. */
export interface Config {
  readonly values: ConfigValues;
  /** ukify's own, when `--config` named one. */
  readonly ukify: UkifyConfig | null;
}

/**
 * The values that the configuration has for a verb.
 * @param file what `--config` says: a seal.toml, or a configuration of ukify, which its sections tell; undefined: seal.toml, where there is one
 * @throws SealError `usage` for TOML errors, unknown keys and values of the wrong type; `input` when the file can't be read
 */
export async function readConfig(file: string | undefined, verb: Verb, host: Host): Promise<Config> {
  const path = resolve(host.cwd, file ?? DEFAULT_FILE);
  if (file === undefined && !existsSync(path)) return { values: {}, ukify: null };
  const bytes = await readInput(path, SMALL_FILE);
  const text = decode(bytes, path);
  if (file !== undefined && isUkifyConfig(text)) return { values: {}, ukify: parseUkifyConfig(bytes, file) };
  return { values: await parseConfig(text, path, verb), ukify: null };
}

/** TOML is UTF-8; a path with a replaced character in it would be another path. */
function decode(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new SealError("usage", `${path}: is not UTF-8; save it as that`, { cause: error });
  }
}

/**
 * Joins ukify's configuration to the options of a verb that takes one: the one that `--config` named, else the machine's.
 * @param raw by camel-case name; undefined: not given
 * @param search whether the machine's counts
 * @throws SealError `usage` for a verb that takes none, and for settings that can't be followed; `input` when it can't be read
 */
export async function withUkifyConfig(
  { ui }: Pick<Context, "ui">,
  command: Command,
  raw: RawOptions,
  named: UkifyConfig | null,
  search: boolean,
): Promise<Pick<ConfiguredOptions, "raw" | "origins">> {
  if (named !== null && command.ukifyDefaults === null) {
    throw new SealError("usage", `${named.path}: is a configuration of ukify, which only seal build-uki takes`);
  }
  const found = search && command.ukifyDefaults?.(raw) ? await machineConfig() : null;
  const config = named ?? found;
  if (config === null) return { raw: { ...raw }, origins: new Map() };
  if (found !== null) ui.note(`settings from ${found.path}, as ukify takes them; --config names another file`);
  const { warnings, ...configured } = applyUkifyConfig(config, raw);
  for (const warning of warnings) ui.warn(warning);
  return configured;
}

async function machineConfig(): Promise<UkifyConfig | null> {
  const path = UKIFY_CONFIG_PATHS.find((candidate) => existsSync(candidate));
  return path === undefined ? null : parseUkifyConfig(await readInput(path, SMALL_FILE), path);
}

async function parseConfig(text: string, path: string, verb: Verb): Promise<ConfigValues> {
  const { parse } = await import("smol-toml");
  let table: Record<string, unknown>;
  try {
    table = parse(text);
  } catch (error) {
    throw configError(path, firstLine(error));
  }
  const commands = new Map<string, Command>();
  for (const other of VERBS) commands.set(other.name, await other.load());

  const called = commands.get(verb.name);
  const shared: Record<string, unknown> = {};
  const own: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(table)) {
    const command = commands.get(key);
    if (command !== undefined && isTable(value)) {
      for (const [name, inner] of Object.entries(value)) {
        const option = optionName(command, name);
        checkValue(path, `[${key}] ${name}`, valueKind(command, option), inner);
        if (key === verb.name) own[option] = inner;
      }
      continue;
    }
    // A name that some verb has itself is no other spelling here: it would mean two things.
    const isName = [...commands.values()].some((each) => valueKind(each, key) !== null);
    const kindOf = (each: Command) => valueKind(each, isName ? key : optionName(each, key));
    const here = called === undefined ? null : kindOf(called);
    // Where the verb has no such option, it is enough that another one takes the value.
    const kinds = [...commands.values()].map(kindOf).filter((kind) => kind !== null);
    const kind = here ?? kinds.find((each) => fits(each, value)) ?? kinds[0] ?? null;
    checkValue(path, key, kind, value);
    if (called !== undefined && here !== null) shared[isName ? key : optionName(called, key)] = value;
  }
  return normalize({ ...shared, ...own }, called);
}

/** The option's own name for a spelling of peers or of earlier releases; any other name as it is. */
function optionName(command: Command, name: string): string {
  if (valueKind(command, name) !== null) return name;
  const option = command.options.find(({ aliases = [] }) => aliases.includes(`--${name}`));
  return option === undefined ? name : longName(option);
}

type ValueKind = "flag" | "value" | "list" | "optional";

/** What a key of a verb takes; null when the verb has no such option or argument. */
function valueKind(command: Command, key: string): ValueKind | null {
  const option = command.options.find((spec) => longName(spec) === key);
  if (option?.flags.includes("[")) return "optional";
  if (option !== undefined) return isRepeatable(option) ? "list" : takesValue(option) ? "value" : "flag";
  const argument = command.arguments.find((spec) => argumentKey(spec) === key);
  if (argument !== undefined) return argument.name.includes("...") ? "list" : "value";
  return null;
}

function checkValue(path: string, name: string, kind: ValueKind | null, value: unknown): void {
  if (kind === null)
    throw configError(path, `${name}: there is no such option; see seal help VERB for those there are`);
  const wanted = { flag: "true or false", value: "a text", list: "a list of texts", optional: "true, false or a text" }[
    kind
  ];
  if (!fits(kind, value)) throw configError(path, `${name}: takes ${wanted}`);
  // The command line can't hold one either.
  if (String(value).includes("\0")) throw configError(path, `${name}: holds a NUL character`);
}

function fits(kind: ValueKind, value: unknown): boolean {
  const isScalar = (item: unknown) => typeof item === "string" || typeof item === "number" || typeof item === "bigint";
  switch (kind) {
    case "flag":
      return typeof value === "boolean";
    case "value":
      return isScalar(value);
    case "optional":
      return typeof value === "boolean" || isScalar(value);
    case "list":
      return isScalar(value) || (Array.isArray(value) && value.every(isScalar));
  }
}

/** Values in the shape that commander gives: texts, lists of texts, booleans. */
function normalize(values: ConfigValues, command: Command | undefined): ConfigValues {
  const result: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(values)) {
    const kind = command === undefined ? null : valueKind(command, key);
    if (kind === "list") result[key] = (Array.isArray(value) ? value : [value]).map(String);
    else result[key] = kind === "value" ? String(value) : value;
  }
  return result;
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function configError(path: string, reason: string): SealError {
  return new SealError("usage", `${path}: ${reason}`);
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n")[0] ?? text;
}
