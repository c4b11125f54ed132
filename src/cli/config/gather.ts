/** What was given for a verb: on the command line, in the environment, in seal.toml. */
import type { Command, Verb } from "../command.ts";
import type { Context } from "../context.ts";
import { type ConfigFile, configEntries, readConfig, settingsOf } from "./file.ts";
import type { Settings } from "./origin.ts";
import { environmentSettings, joinSettings } from "./settings.ts";

export interface Gathered {
  readonly settings: Settings;
  readonly file: ConfigFile;
}

/**
 * @param verbs all of them
 * @param typed what the command line says
 * @throws SealError as {@link readConfig} and {@link configEntries}
 */
export async function gatherSettings(
  { process, configFile }: Pick<Context, "process" | "configFile">,
  verbs: readonly Verb[],
  verb: Verb,
  command: Command,
  typed: Settings,
): Promise<Gathered> {
  const file = await readConfig(configFile, process);
  const configured = settingsOf(await configEntries(file, verb, verbs));
  const environment = environmentSettings(command.options, process.env);
  return { settings: joinSettings(command, [configured, environment, typed]), file };
}
