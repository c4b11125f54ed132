/** `seal config [VERB…]`: what counts, and where each value comes from. */
import { Command as Program } from "commander";
import { escapeControls } from "../../bytes.ts";
import { SealError } from "../../errors.ts";
import { type Command, defineCommand, type Verb } from "../command.ts";
import { type Context, printJson, printLine } from "../context.ts";
import { globalOptions } from "../global-options.ts";
import { optionGroup } from "../options/group.ts";
import { flag, text } from "../options/option.ts";
import { addOptions, defineOptions, replaceAliases, typedValues } from "../program.ts";
import { renderTable } from "../terminal/report.ts";
import { type ConfigFile, configEntries, readConfig } from "./file.ts";
import { gatherSettings } from "./gather.ts";
import { allRows, configReportSchema, type Row, rowCells, verbRows } from "./rows.ts";
import { configSchema } from "./schema.ts";
import { environmentSettings, typedSettings } from "./settings.ts";
import { withUkifyConfig } from "./ukify.ts";
import { unknownVariables } from "./unknown-variables.ts";

/** @param verbs all of them, this one too */
export function configCommand(verbs: readonly Verb[]): Command {
  return defineCommand({
    examples: [
      ["", "the options that the environment and seal.toml set"],
      ["rootfs", "the effective options of a verb, including defaults"],
      ["--json -- sign uki.efi --key db.key", "the effective options of a command line"],
      ["--schema > seal.schema.json", "the schema of seal.toml, for editors: #:schema seal.schema.json"],
    ],
    arguments: {
      command: text({
        many: true,
        complete: [...new Set(verbs.map(({ name }) => name.split(" ")[0] ?? name))],
        help: "a verb; after --, a verb with its arguments",
      }),
    },
    options: optionGroup(null, {
      json: flag({ help: "print the result as JSON" }),
      schema: flag({ help: "print the JSON Schema of seal.toml instead", excludes: ["json"] }),
    }),
    run: async (context, { command, json, schema }) => {
      const loaded = await Promise.all(verbs.map(async (verb) => ({ verb, command: await verb.load() })));
      if (schema) {
        printLine(context, JSON.stringify(configSchema(loaded), null, 2));
        return 0;
      }
      const declarations = loaded.map(({ command: { options } }) => options);
      for (const problem of unknownVariables(declarations, context.process.env)) context.ui.warn(problem);
      const { verb, file, rows } =
        command.length === 0 ? await all(context, verbs) : await ofVerb(context, verbs, command);
      if (json) printJson(context, configReportSchema.parse({ verb, config: describe(file), options: rows }));
      else if (rows.length > 0) printLine(context, table(rows, context.process.stdout.columns));
      if (rows.length === 0) context.ui.note("no seal.toml here, and no variable sets an option: the defaults apply");
      return 0;
    },
  });
}

interface Shown {
  readonly verb: string | null;
  readonly file: ConfigFile;
  readonly rows: readonly Row[];
}

async function all({ process, configFile }: Context, verbs: readonly Verb[]): Promise<Shown> {
  const file = await readConfig(configFile, process);
  const entries = await configEntries(file, null, verbs);
  const commands = await Promise.all(verbs.map((verb) => verb.load()));
  const environments = commands.map(({ options }) => [options, environmentSettings(options, process.env)] as const);
  return { verb: null, file, rows: allRows(environments, entries) };
}

async function ofVerb(context: Context, verbs: readonly Verb[], words: readonly string[]): Promise<Shown> {
  const [first, second] = words;
  const two = `${first} ${second}`;
  const verb = verbs.find(({ name, aliases }) => [name, ...aliases].some((one) => one === first || one === two));
  if (verb === undefined) {
    // `seal config keys`: the first of two words.
    const longer = verbs.filter(({ name }) => name.startsWith(`${first} `)).map(({ name }) => name);
    const why = longer.length === 0 ? "unknown verb; see seal --help" : `give one of ${longer.join(", ")}`;
    throw new SealError("usage", `${first}: ${why}`);
  }
  const command = await verb.load();
  const { args, used } = replaceAliases(words.slice(verb.name.split(" ").length), command.options);
  const program = new Program(verb.name)
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .helpOption(false);
  // What is missing is what one may want to know.
  defineOptions(program, { ...command, arguments: optional(command.arguments), examples: [] });
  addOptions(program, globalOptions.declarations);
  program.parse(args, { from: "user" });
  const typed = typedSettings(command, typedValues(program, command), used);
  const { config } = typedValues(program, { arguments: {}, options: globalOptions.declarations });
  const configFile = typeof config === "string" ? config : context.configFile;
  const { settings, file } = await gatherSettings({ ...context, configFile }, verbs, verb, command, typed);
  const named = file.kind === "ukify" ? file.config : null;
  const { raw, origins } = await withUkifyConfig(context, command, settings, named, configFile === undefined);
  return { verb: verb.name, file, rows: verbRows({ ...command.arguments, ...command.options }, raw, origins) };
}

function optional(args: Command["arguments"]): Command["arguments"] {
  return Object.fromEntries(Object.entries(args).map(([name, option]) => [name, { ...option, required: null }]));
}

function describe(file: ConfigFile): object | null {
  switch (file.kind) {
    case "none":
      return null;
    case "seal":
      return { path: file.subject, kind: file.kind, found: file.found };
    case "ukify":
      return { path: file.config.path, kind: file.kind, found: false };
  }
}

function table(rows: readonly Row[], columns: number | null): string {
  const cells = rows.map((row) => rowCells(row).map(escapeControls));
  return renderTable([["OPTION", "VALUE", "FROM"], ...cells], columns);
}
