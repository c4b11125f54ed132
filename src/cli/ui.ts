/** Talking to a person on standard error: notes, warnings, progress. Results never go through here. */
import { Chalk, type ChalkInstance } from "chalk";
import { toHex } from "../bytes.ts";
import type { Host, Output } from "../io/host.ts";

export interface UiOptions {
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** False: never any colour. Otherwise the terminal decides. */
  readonly color: boolean;
  readonly progress: boolean;
}

/** A running step. Its line is rewritten on a terminal and goes away; in a log there is one line at the end. */
export interface Step {
  /** @param detail what has been reached, short: `3,214 files · 120 MB · 410 MB/s` */
  update(detail: string): void;
  /** Ends the step. With `--verbose`, and in a log when it took over a second, its line stays. */
  done(detail?: string): void;
}

export interface Ui {
  readonly verbose: boolean;
  /** Colours for what goes to standard output. */
  readonly out: ChalkInstance;
  /** Colours for what goes to standard error. */
  readonly err: ChalkInstance;
  /** A line that is hidden by `--quiet`. */
  note(text: string): void;
  /** Says what will happen if it is ignored; `--quiet` does not hide it. */
  warn(text: string): void;
  /** Only with `--verbose`. */
  detail(text: string): void;
  step(label: string): Step;
}

/** Rewriting a line more often than this only costs time. */
const REDRAW_MS = 80;

/** Empties the line that the cursor of a terminal is in. */
export const CLEAR_LINE = "\r\x1b[K";

/** A message in which names of files and the like can't start lines or talk to the terminal. */
export function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (char) => `\\x${toHex(Uint8Array.of(char.charCodeAt(0)))}`);
}

export function createUi(host: Host, options: UiOptions): Ui {
  const { stderr } = host;
  const err = new Chalk({ level: colorLevel(host, stderr, options) });
  // Lines come in the middle of steps too, whose progress stands there.
  const clear = stderr.columns === null ? "" : CLEAR_LINE;
  const line = (text: string) => stderr.write(`${clear}${text}\n`);
  return {
    verbose: options.verbose,
    out: new Chalk({ level: colorLevel(host, host.stdout, options) }),
    err,
    note: (text) => {
      if (!options.quiet) line(text);
    },
    warn: (text) => line(`${err.yellow("warning:")} ${oneLine(text)}`),
    detail: (text) => {
      if (options.verbose) line(err.dim(text));
    },
    step: (label) => startStep(host, options, label, line),
  };
}

function startStep(host: Host, options: UiOptions, label: string, line: (text: string) => void): Step {
  const start = host.elapsed();
  const { stderr } = host;
  const live = options.progress && !options.quiet && stderr.columns !== null;
  let drawn = Number.NEGATIVE_INFINITY;
  const clear = () => {
    if (live && drawn !== Number.NEGATIVE_INFINITY) stderr.write(CLEAR_LINE);
  };
  return {
    update: (detail) => {
      const now = host.elapsed();
      if (!live || now - drawn < REDRAW_MS) return;
      drawn = now;
      const text = `${label}  ${detail}`;
      stderr.write(`${CLEAR_LINE}${text.slice(0, (stderr.columns ?? 80) - 1)}`);
    },
    done: (detail) => {
      clear();
      const seconds = (host.elapsed() - start) / 1000;
      const worthALine = options.verbose || (stderr.columns === null && seconds > 1);
      if (worthALine && !options.quiet)
        line(`${label}${detail === undefined ? "" : `  ${detail}`}  ${seconds.toFixed(1)} s`);
    },
  };
}

function colorLevel(host: Host, output: Output, options: UiOptions): 0 | 1 {
  const forced = host.env["FORCE_COLOR"];
  if (!options.color || (host.env["NO_COLOR"] ?? "") !== "") return 0;
  if (forced !== undefined && forced !== "" && forced !== "0") return 1;
  return output.columns !== null && host.env["TERM"] !== "dumb" ? 1 : 0;
}
