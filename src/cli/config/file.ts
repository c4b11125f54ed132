/**
 * seal.toml: options that need not be typed. A key at the top holds for every verb that has the option, a key in a
 * table named like a verb for that verb only; values mean what they mean on the command line, which wins.
 *
 *     key = "db.key"
 *     cert = "db.crt"
 *     [lint]
 *     skip = ["var-log"]
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { SealError } from "../../errors.ts";
import type { ProcessPort } from "../../io/process-port.ts";
import { readInput } from "../../io/read-input.ts";
import { isUkifyConfig, parseUkifyConfig, type UkifyConfig } from "../build-uki/ukify-config.ts";
import type { Command, Verb } from "../command.ts";
import { checkedValue, type Meaning, meaningOf, type TomlEntry, takesType, tomlEntries } from "./keys.ts";
import { nameOf, type Setting } from "./origin.ts";
import type { TomlFile } from "./toml.ts";

/** What is taken where no file is named. */
export const DEFAULT_FILE = "seal.toml";
/** In bytes: more than anyone writes, and little enough to be read many times over. */
const LARGEST = 1 << 18;

/** What was read. */
export type ConfigFile =
  | { readonly kind: "none" }
  /** A seal.toml; `found`: not named, but found in the working directory. */
  | { readonly kind: "seal"; readonly subject: string; readonly found: boolean; readonly toml: TomlFile }
  /** ukify's own, recognised by its sections. */
  | { readonly kind: "ukify"; readonly config: UkifyConfig };

/**
 * Reads the configuration.
 * @param file what `--config` says; undefined: seal.toml, where there is one
 * @throws SealError `usage` for invalid TOML; `input` when the file can't be read
 */
export async function readConfig(file: string | undefined, process: ProcessPort): Promise<ConfigFile> {
  const subject = file ?? DEFAULT_FILE;
  const path = resolve(process.cwd, subject);
  if (file === undefined && !existsSync(path)) return { kind: "none" };
  const bytes = await readInput(path, LARGEST);
  const text = decode(bytes, subject);
  if (file !== undefined && isUkifyConfig(text)) return { kind: "ukify", config: parseUkifyConfig(bytes, file) };
  // Most calls need no parser.
  const { parseToml } = await import("./toml.ts");
  return { kind: "seal", subject, found: file === undefined, toml: parseToml(text, subject) };
}

/** TOML is UTF-8; a path with a replaced character in it would be another path. */
function decode(bytes: Uint8Array, subject: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new SealError("usage", `${subject}: is not valid UTF-8; save it as UTF-8`, { cause: error });
  }
}

/** An entry of the file. */
export interface ConfigEntry extends Setting {
  /** The verb whose table it is in; null: at the top. */
  readonly verb: string | null;
  readonly meaning: Meaning;
  /** Whether it is for the verb that is called. */
  readonly counts: boolean;
}

/**
 * What a seal.toml says, tables last.
 * @param called null: no verb
 * @throws SealError `usage` for unknown keys and values of the wrong type, whichever verb they are for
 */
export async function configEntries(
  file: ConfigFile,
  called: Verb | null,
  verbs: readonly Verb[],
): Promise<ConfigEntry[]> {
  if (file.kind !== "seal") return [];
  const commands = new Map<string, Command>();
  for (const verb of verbs) commands.set(verb.name, await verb.load());
  const entries = tomlEntries(file.toml.table, new Set(commands.keys())).map((entry): ConfigEntry => {
    const line = file.toml.lineOf(entry.path);
    const origin = { kind: "file", name: entry.key, path: file.subject, line, found: file.found } as const;
    const { meaning, counts } = meaningFor(entry, called, commands);
    if (meaning === null) {
      throw new SealError("usage", `${nameOf(origin)}: unknown option; see seal help VERB for the options`);
    }
    return { verb: entry.verb, meaning, counts, raw: checkedValue(nameOf(origin), meaning, entry.value), origin };
  });
  return [...entries.filter(({ verb }) => verb === null), ...entries.filter(({ verb }) => verb !== null)];
}

/** What counts of the entries for the verb that is called, by camel-case name of its options and arguments. */
export function settingsOf(entries: readonly ConfigEntry[]): Map<string, Setting> {
  const settings = new Map<string, Setting>();
  for (const { counts, meaning, raw, origin } of entries) {
    if (counts) settings.set(meaning.key, { raw: meaning.negates ? raw === false : raw, origin });
  }
  return settings;
}

/** What an entry means to the verb that is called, else to one that has such an option. */
function meaningFor(
  { verb, key, value }: TomlEntry,
  called: Verb | null,
  commands: ReadonlyMap<string, Command>,
): { readonly meaning: Meaning | null; readonly counts: boolean } {
  const own = verb === null ? undefined : commands.get(verb);
  if (own !== undefined) return { meaning: meaningOf(own, key, { alias: true }), counts: verb === called?.name };
  const all = [...commands.values()];
  // A name that some verb has itself is not another spelling here: it would mean two things.
  const isName = all.some((command) => meaningOf(command, key, { alias: false }) !== null);
  const meaning = (command: Command) => meaningOf(command, key, { alias: !isName });
  const calledCommand = called === null ? undefined : commands.get(called.name);
  const here = calledCommand === undefined ? null : meaning(calledCommand);
  if (here !== null) return { meaning: here, counts: true };
  // It is enough that another one takes the value.
  const meanings = all.map(meaning).filter((one) => one !== null);
  return { meaning: meanings.find((one) => takesType(one, value)) ?? meanings[0] ?? null, counts: false };
}
