#!/usr/bin/env node
/** The program: finds the verb, parses its options, runs it, and turns errors into one line and an exit code. */
import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { CommanderError, Command as Program } from "commander";
import { escapeControls } from "../bytes.ts";
import { EXIT_CODES, SealError } from "../errors.ts";
import { RemoteImages } from "../io/oci/remote-images.ts";
import { type ProcessPort, thisProcess } from "../io/process-port.ts";
import { haveAllSpoken } from "../io/silent-threads.ts";
import { loadAsAtStart } from "../io/v8-settings.ts";
import type { Verb } from "./command.ts";
import { gatherSettings } from "./config/gather.ts";
import {
  environmentSettings,
  joinSettings,
  namesOf,
  noteFound,
  rawValues,
  typedSettings,
  withNames,
} from "./config/settings.ts";
import { withUkifyConfig } from "./config/ukify.ts";
import type { Context } from "./context.ts";
import { type GlobalOptions, globalOptions } from "./global-options.ts";
import { parseValues } from "./options/parse.ts";
import { asOwnVerb } from "./peer-verbs.ts";
import { addOptions, defineOptions, replaceAliases, typedValues } from "./program.ts";
import { HELP } from "./terminal/help.ts";
import { startCopy } from "./terminal/progress.ts";
import { clearLine, createUi, fitted } from "./terminal/ui.ts";
import { VERB_GROUPS, VERBS } from "./verbs.ts";
import { version } from "./version.ts";

/** How the chunks of the built program are loaded (scripts/loader.ts). */
interface Loading {
  around: <Result>(load: () => Result) => Result;
}

/**
 * Runs one invocation.
 * @param argv arguments without node and the script
 * @returns the exit code; nothing is thrown
 */
export async function run(argv: readonly string[], port: ProcessPort): Promise<number> {
  const verbose = argv.includes("--verbose");
  let own = argv;
  try {
    own = asOwnVerb(argv, firstWord(argv));
    return await dispatch(own, port).catch((error: unknown) => {
      if (!isWithoutVerb(error)) throw error;
      return dispatch([...own.filter((argument) => argument !== "--"), "--help"], port);
    });
  } catch (error) {
    return report(error, port, verbose, own);
  }
}

/**
 * Whether nothing is wrong but that no verb is named. Who types `seal`, or `seal keys`, wants to know what there is.
 */
function isWithoutVerb(error: unknown): boolean {
  return error instanceof CommanderError && error.code === "commander.help";
}

async function dispatch(argv: readonly string[], port: ProcessPort): Promise<number> {
  const wanted = findVerb(argv);
  const program = createProgram(port);
  let exitCode: number = EXIT_CODES.ok;
  let args = helpAsFlag(argv);
  // For one that is called, the others need not be known.
  for (const verb of wanted === null ? VERBS : [wanted]) {
    const sub = addVerb(program, verb);
    if (verb !== wanted) continue;
    const command = await verb.load();
    const spelled = replaceAliases(args, command.options);
    args = spelled.args;
    defineOptions(sub, command);
    sub.action(async () => {
      const context = createContext(port, globalValues(program, port));
      try {
        const typed = typedSettings(command, typedValues(sub, command), spelled.used);
        const { settings, file } = await gatherSettings(context, VERBS, verb, command, typed);
        noteFound(context, command.options, settings);
        const ukify = file.kind === "ukify" ? file.config : null;
        const search = context.configFile === undefined;
        const { raw, origins } = await withUkifyConfig(context, command, settings, ukify, search);
        exitCode = await withNames(origins, () => command.execute(context, raw, namesOf(origins)));
      } finally {
        context.close();
      }
    });
  }
  await program.parseAsync(args, { from: "user" });
  return exitCode;
}

function createProgram(port: ProcessPort): Program {
  const program = new Program("seal")
    .description("Seals bootable container images: composefs digest, UKI, Secure Boot signatures, boot layout, lint.")
    .version(version(), "-V, --version", "print the version")
    .helpCommand("help [verb]", "show usage and examples of a verb")
    .configureHelp(HELP)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => port.stdout.write(text),
      writeErr: () => {},
      // They have none. Asking the stream would load node's streams, which take longer than all else of a help page.
      getOutHasColors: () => false,
      getErrHasColors: () => false,
      getOutHelpWidth: () => port.stdout.columns ?? 100,
    });
  addOptions(program, globalOptions.declarations);
  return program;
}

/** Whether an argument is neither an option nor the value of a global one. */
function isWord(argument: string, index: number, argv: readonly string[]): boolean {
  const before = argv[index - 1];
  return !argument.startsWith("-") && before !== "--config" && before !== "-c";
}

/** Where the verb is, perhaps after `help` and global options. */
function firstWord(argv: readonly string[]): number {
  const first = argv.findIndex(isWord);
  if (first < 0) return argv.length;
  return argv[first] === "help" ? first + 1 : first;
}

/** The words that name a verb, and perhaps others after them. */
function verbWords(argv: readonly string[]): string[] {
  const words = argv.filter(isWord);
  return words[0] === "help" ? words.slice(1) : words;
}

/**
 * The verb that these arguments call, so that only its module is loaded; null for `--help`, `--version` and mistakes.
 */
function findVerb(argv: readonly string[]): Verb | null {
  const [first, second] = verbWords(argv);
  if (first === undefined) return null;
  const matches = (name: string) => name === first || name === `${first} ${second}`;
  return VERBS.find((verb) => [verb.name, ...verb.aliases].some(matches)) ?? null;
}

/**
 * `help keys generate` as `keys generate --help`: commander knows the first form for one word only. What is not a verb
 * is called without: asked for help, commander would answer with that of all verbs.
 */
function helpAsFlag(argv: readonly string[]): string[] {
  const args = argv[0] === "help" ? [...argv.slice(1), "--help"] : [...argv];
  const [first, second] = verbWords(argv);
  const isGroup = second === undefined && first !== undefined && first in VERB_GROUPS;
  const hasPage = first === undefined || isGroup || findVerb(argv) !== null;
  return hasPage ? args : args.filter((argument) => argument !== "--help" && argument !== "-h");
}

/** Adds the commander command of a verb, and for `keys generate` its parent `keys`. */
function addVerb(program: Program, verb: Verb): Program {
  const [first = "", second] = verb.name.split(" ");
  if (second === undefined) {
    return program.command(first).summary(verb.summary).description(verb.summary).aliases(verb.aliases);
  }
  const parent =
    program.commands.find((command) => command.name() === first) ??
    program
      .command(first)
      .summary(VERB_GROUPS[first] ?? "")
      .description(VERB_GROUPS[first] ?? "");
  return parent.command(second).summary(verb.summary).description(verb.summary);
}

function globalValues(program: Program, port: ProcessPort): GlobalOptions {
  const command = { arguments: {}, options: globalOptions.declarations };
  const typed = typedSettings(command, typedValues(program, command), new Map());
  const settings = joinSettings(command, [environmentSettings(command.options, port.env), typed]);
  return parseValues(command.arguments, command.options, rawValues(settings));
}

/** @returns with `close`, to be called when the verb has ended */
function createContext(
  port: ProcessPort,
  { quiet, verbose, color, progress, config }: GlobalOptions,
): Context & { readonly close: () => void } {
  const ui = createUi(port, { quiet, verbose, color, progress });
  let remote: RemoteImages | null = null;
  return {
    process: port,
    ui,
    configFile: config,
    remote: ({ authfile, tlsVerify }) => {
      const access = { authfile, tlsVerify };
      remote ??= new RemoteImages({ env: port.env, cwd: port.cwd, access }, (subject) =>
        startCopy({ process: port, ui }, subject),
      );
      return remote;
    },
    close: () => remote?.close(),
  };
}

function report(error: unknown, port: ProcessPort, verbose: boolean, argv: readonly string[]): number {
  const isCommander = error instanceof CommanderError;
  if (isCommander && error.exitCode === 0) return EXIT_CODES.ok;
  // The progress of the step that failed may be there.
  port.stderr.write(clearLine(port));
  if (isCommander) {
    const message = escapeControls(error.message.replace(/^error: /, "").replaceAll("\n", " "));
    const [first = ""] = verbWords(argv);
    const topic = findVerb(argv)?.name ?? (first in VERB_GROUPS ? first : null);
    const page = topic === null ? "seal --help" : `seal help ${topic}`;
    say(port, `seal: ${`${message}. See ${page}.`.replace(/([.?!)])\. See/, "$1 See")}`);
    return EXIT_CODES.usage;
  }
  const text = escapeControls(error instanceof Error ? error.message : String(error));
  if (error instanceof SealError) {
    say(port, `seal: ${text}`);
    if (verbose) port.stderr.write(`${stackOf(error)}\n`);
    return EXIT_CODES[error.code];
  }
  say(port, `seal: internal error: ${text}. This is a bug in seal; run again with --verbose and report it.`);
  if (verbose) port.stderr.write(`${stackOf(error)}\n`);
  return EXIT_CODES.bug;
}

function say({ stderr }: ProcessPort, line: string): void {
  stderr.write(`${fitted(line, stderr.columns)}\n`);
}

/** The stack of an error and of what caused it. */
function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.stack ?? error.message;
  return error.cause === undefined ? own : `${own}\ncaused by: ${stackOf(error.cause)}`;
}

/**
 * Runs what the command line of the process says, and ends the process with its exit code. Left to itself, node would
 * give V8 the time to collect the garbage of the run, and take its memory apart, for nothing. It does so where
 * something is still to be done: output to arrive, a thread to begin.
 * @param loading how the chunks of the built program are loaded; null where it runs from its sources
 */
export async function main(loading: Loading | null): Promise<void> {
  if (loading !== null) loading.around = loadAsAtStart;
  const port = thisProcess();
  // Where an answer never comes and nothing is left to wait for, node would end with 0, as if all were well.
  const withoutAnswer = () => {
    process.exitCode = report(new Error("ended without a result"), port, false, []);
  };
  process.once("beforeExit", withoutAnswer);
  process.exitCode = await run(process.argv.slice(2), port);
  process.off("beforeExit", withoutAnswer);
  if (isDone()) process.exit();
}

/** Whether nothing is under way but threads that nobody waits for any more. */
function isDone(): boolean {
  // Each is known by the port that it speaks through.
  return haveAllSpoken() && process.getActiveResourcesInfo().every((resource) => resource === "MessagePort");
}

const [, script] = process.argv;
// Where it is built, another file starts it (scripts/launch.ts).
if (script?.endsWith("main.ts") === true && realpathSync(script) === fileURLToPath(import.meta.url)) void main(null);
