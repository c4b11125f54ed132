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
import type { TomlTable, TomlValue } from "smol-toml";
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
import type { Command, Verb } from "./command.ts";
import type { Context } from "./context.ts";
import type { RawValue } from "./options/check.ts";
import type { Option } from "./options/option.ts";
import type { RawValues } from "./options/parse.ts";
import { kebabCase, spellings } from "./options/spelling.ts";
import type { ConfigValues } from "./program.ts";
import { VERBS } from "./verbs.ts";

const DEFAULT_FILE = "seal.toml";

/** What the configuration has for a verb. */
export interface Config {
  readonly values: ConfigValues;
  /** Whether the file was found where seal was called, and nobody named it. */
  readonly found: boolean;
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
  if (file === undefined && !existsSync(path)) return { values: {}, found: false, ukify: null };
  const bytes = await readInput(path, SMALL_FILE);
  const text = decode(bytes, path);
  if (file !== undefined && isUkifyConfig(text))
    return { values: {}, found: false, ukify: parseUkifyConfig(bytes, file) };
  return { values: await parseConfig(text, path, verb), found: file === undefined, ukify: null };
}

/** What loads a library into seal, see RFC 7512, section 2.4. */
const PKCS11_MODULE = /^pkcs11:[^?]*\?(?:.*&)?module-path=/i;

/**
 * Names the configuration that was found in the directory where seal was called, and what it gives. That it is there says nothing about who put it
 * there, so that programs are run only for one that `--config` names.
 * @param given all values, by camel-case name
 * @param typed those of the command line
 * @throws SealError `usage` where it names a program to be run, or a library to be loaded
 */
export function noteFound({ ui }: Pick<Context, "ui">, command: Command, given: RawValues, typed: RawValues): void {
  const names = Object.keys(given).filter((name) => !(name in typed));
  if (names.length === 0) return;
  for (const name of names) {
    const isModule = [given[name]].flat().some((text) => PKCS11_MODULE.test(String(text)));
    if (!isModule && command.options[name]?.runs !== true) continue;
    const what = isModule ? "a library to be loaded" : "a program to be run";
    throw configError(
      DEFAULT_FILE,
      `${kebabCase(name)} names ${what}, and the file was only found here. Give --config ${DEFAULT_FILE} if it is yours`,
    );
  }
  ui.note(`${names.map(kebabCase).join(", ")} from ${DEFAULT_FILE}, which was found here; --config names another file`);
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
  raw: RawValues,
  named: UkifyConfig | null,
  search: boolean,
): Promise<Pick<ConfiguredOptions, "raw" | "origins">> {
  if (named !== null && command.ukifyDefaultsUnless === null) {
    throw new SealError("usage", `${named.path}: is a configuration of ukify, which only seal build-uki takes`);
  }
  const counts = search && command.ukifyDefaultsUnless?.every((name) => raw[name] === undefined);
  const found = counts ? await machineConfig() : null;
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
  let table: TomlTable;
  try {
    table = parse(text);
  } catch (error) {
    throw configError(path, firstLine(error));
  }
  const commands = new Map<string, Command>();
  for (const other of VERBS) commands.set(other.name, await other.load());

  const called = commands.get(verb.name);
  const shared: Record<string, RawValue> = {};
  const own: Record<string, RawValue> = {};
  for (const [key, value] of Object.entries(table)) {
    const command = commands.get(key);
    if (command !== undefined && isTable(value)) {
      for (const [name, inner] of Object.entries(value)) {
        const option = optionName(command, name);
        const raw = checkValue(path, `[${key}] ${name}`, takenBy(command, option), inner);
        if (key === verb.name) own[option] = raw;
      }
      continue;
    }
    // A name that some verb has itself is no other spelling here: it would mean two things.
    const isName = [...commands.values()].some((each) => takenBy(each, key) !== null);
    const takenHere = (each: Command) => takenBy(each, isName ? key : optionName(each, key));
    const here = called === undefined ? null : takenHere(called);
    // Where the verb has no such option, it is enough that another one takes the value.
    const all = [...commands.values()].map(takenHere).filter((takes) => takes !== null);
    const takes = here ?? all.find((each) => rawValue(each, value) !== null) ?? all[0] ?? null;
    const raw = checkValue(path, key, takes, value);
    if (called !== undefined && here !== null) shared[isName ? key : optionName(called, key)] = raw;
  }
  return { ...shared, ...own };
}

/** The option's own name for a spelling of peers or of earlier releases; any other name as it is. */
function optionName(command: Command, name: string): string {
  if (takenBy(command, name) !== null) return name;
  const found = spellings(command.options).find(({ option }) => option.aliases.includes(`--${name}`));
  return found?.name ?? name;
}

/** What a key of a verb takes; null when the verb has no such option or argument. */
function takenBy(command: Command, key: string): Option["takes"] | null {
  const spelling = spellings(command.options).find(({ name }) => name === key);
  if (spelling?.negates === true) return "nothing";
  return (spelling?.option ?? command.arguments[key])?.takes ?? null;
}

const WANTED = {
  nothing: "true or false",
  value: "a text",
  list: "a list of texts",
  optional: "true, false or a text",
} as const;

/** The value in the shape that the command line gives: a text, a list of texts, a boolean. */
function checkValue(path: string, name: string, takes: Option["takes"] | null, value: TomlValue): RawValue {
  if (takes === null) {
    throw configError(path, `${name}: there is no such option; see seal help VERB for those there are`);
  }
  const raw = rawValue(takes, value);
  if (raw === null) throw configError(path, `${name}: takes ${WANTED[takes]}`);
  // The command line can't hold one either.
  if (String(raw).includes("\0")) throw configError(path, `${name}: holds a NUL character`);
  return raw;
}

/** Null: that is nothing that such an option takes. */
function rawValue(takes: Option["takes"], value: TomlValue): RawValue | null {
  switch (takes) {
    case "nothing":
      return typeof value === "boolean" ? value : null;
    case "value":
      return scalar(value);
    case "optional":
      return typeof value === "boolean" ? value : scalar(value);
    case "list": {
      const items = (Array.isArray(value) ? value : [value]).map(scalar);
      return items.includes(null) ? null : items;
    }
  }
}

function scalar(value: TomlValue): string | null {
  return typeof value === "string" || typeof value === "number" || typeof value === "bigint" ? String(value) : null;
}

function isTable(value: TomlValue): value is TomlTable {
  return typeof value === "object" && !Array.isArray(value) && !(value instanceof Date);
}

function configError(path: string, reason: string): SealError {
  return new SealError("usage", `${path}: ${reason}`);
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n")[0] ?? text;
}
