/** ukify's own configuration, for the verb that takes ukify's options. */
import { existsSync } from "node:fs";
import { SealError } from "../../errors.ts";
import { readInput, SMALL_FILE } from "../../io/read-input.ts";
import { applyUkifyConfig, parseUkifyConfig, UKIFY_CONFIG_PATHS, type UkifyConfig } from "../build-uki/ukify-config.ts";
import type { Command } from "../command.ts";
import type { Context } from "../context.ts";
import type { RawValues } from "../options/parse.ts";
import type { Origin, Settings } from "./origin.ts";
import { rawValues } from "./settings.ts";

/** What counts in the end. */
export interface Counting {
  readonly raw: RawValues;
  /** Where values were given, by camel-case name. */
  readonly origins: ReadonlyMap<string, Origin>;
}

/**
 * Joins ukify's configuration to the options of a verb that takes one: the one that `--config`
 * named, else the machine's.
 * @param named null: none
 * @param search whether the machine's counts
 * @throws SealError `usage` for a verb that takes none, and for settings that can't be followed; `input`
 *   when it can't be read
 */
export async function withUkifyConfig(
  { ui }: Pick<Context, "ui">,
  command: Command,
  settings: Settings,
  named: UkifyConfig | null,
  search: boolean,
): Promise<Counting> {
  if (named !== null && command.ukifyDefaultsUnless === null) {
    throw new SealError("usage", `${named.path}: is a ukify configuration, which only seal build-uki accepts`);
  }
  const own = new Map([...settings].map(([key, { origin }]) => [key, origin]));
  const counts = search && command.ukifyDefaultsUnless?.every((name) => !settings.has(name));
  const found = counts ? await machineConfig() : null;
  const config = named ?? found;
  if (config === null) return { raw: rawValues(settings), origins: own };
  if (found !== null) ui.note(`settings from ${found.path}, as with ukify; --config names another file`);
  const { warnings, raw, origins } = applyUkifyConfig(config, rawValues(settings));
  for (const warning of warnings) ui.warn(warning);
  return { raw, origins: new Map([...own, ...origins]) };
}

async function machineConfig(): Promise<UkifyConfig | null> {
  const path = UKIFY_CONFIG_PATHS.find((candidate) => existsSync(candidate));
  return path === undefined ? null : parseUkifyConfig(await readInput(path, SMALL_FILE), path);
}
