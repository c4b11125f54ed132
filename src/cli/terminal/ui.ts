/** Talking to a person on standard error: notes, warnings, progress. Results never go through here. */
import { Chalk, type ChalkInstance } from "chalk";
import { escapeControls } from "../../bytes.ts";
import type { ProcessPort, TextOutput } from "../../io/process-port.ts";
import { breakWords } from "../../text.ts";
import { displayWidth, fitting } from "./width.ts";

export interface UiOptions {
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** False: never any colour. Otherwise the terminal decides. */
  readonly color: boolean;
  readonly progress: boolean;
}

/** A running step. Its line is rewritten on a terminal and goes away; in a log there is one line at the end. */
export interface ProgressStep {
  /**
   * @param detail what has been reached, short: `3,214 files · 120 MB · 410 MB/s`
   * @param share of the work that is done, from 0 to 1; null: not known
   */
  update(detail: string, share?: number | null): void;
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
  /** Lines that are aligned and coloured already; hidden by `--quiet`. */
  block(text: string): void;
  /** Says what will happen if it is ignored; `--quiet` does not hide it. */
  warn(text: string): void;
  /** Only with `--verbose`. */
  detail(text: string): void;
  step(label: string): ProgressStep;
  /** Empties the progress line before a result goes to the same terminal. */
  clearProgress(): void;
}

/** Length of the bar; a shorter one says less than its percentage. */
const BAR = 20;
const SHORT_BAR = 5;

/** Rewriting a line more often than this only costs time. */
const REDRAW_MS = 80;

/**
 * A message in lines that a terminal need not break, as it would in the middle of words.
 * @param columns null: there is no terminal
 */
export function fitted(text: string, columns: number | null): string {
  if (columns === null || text.length <= columns) return text;
  return breakWords(text.split(" "), columns).join("\n");
}

/** What empties the cursor's line, for the progress that may be there; nothing where there can be none. */
export function clearLine({ env, stderr }: Pick<ProcessPort, "env" | "stderr">): string {
  return stderr.columns === null || env["TERM"] === "dumb" ? "" : "\r\x1b[K";
}

export function createUi(process: ProcessPort, options: UiOptions): Ui {
  const { stderr } = process;
  const err = coloursOf(process, stderr, options);
  const out = coloursOf(process, process.stdout, options);
  const progress = startProgress(process, options);
  // Lines come in the middle of steps too, whose progress is there.
  const line = (text: string) => {
    progress.clear();
    stderr.write(`${text}\n`);
  };
  const message = (text: string, paint = (shown: string) => shown) => line(paint(fitted(text, stderr.columns)));
  return {
    verbose: options.verbose,
    get out() {
      return out();
    },
    get err() {
      return err();
    },
    note: (text) => {
      if (!options.quiet) message(escapeControls(text));
    },
    block: (text) => {
      if (!options.quiet) line(text);
    },
    warn: (text) => {
      const [first, ...rest] = fitted(`warning: ${escapeControls(text)}`, stderr.columns).split(" ");
      line([err().yellow(first ?? ""), ...rest].join(" "));
    },
    detail: (text) => {
      if (options.verbose) message(escapeControls(text), (shown) => err().dim(shown));
    },
    step: (label) => startStep(process, options, label, progress, line),
    clearProgress: progress.clear,
  };
}

/** The line of a terminal that is written again and again. */
interface Progress {
  draw(text: string): void;
  clear(): void;
}

function startProgress(process: ProcessPort, options: UiOptions): Progress {
  const { stderr } = process;
  const emptied = clearLine(process);
  if (!options.progress || options.quiet || emptied === "") return { draw: () => {}, clear: () => {} };
  let isThere = false;
  return {
    draw: (text) => {
      isThere = true;
      // One that flows over is not emptied as a whole.
      stderr.write(`${emptied}${fitting(escapeControls(text), (stderr.columns ?? 80) - 1)}`);
    },
    clear: () => {
      if (isThere) stderr.write(emptied);
      isThere = false;
    },
  };
}

function startStep(
  process: ProcessPort,
  options: UiOptions,
  label: string,
  progress: Progress,
  line: (text: string) => void,
): ProgressStep {
  const start = process.elapsed();
  const { stderr } = process;
  let drawn = Number.NEGATIVE_INFINITY;
  return {
    update: (detail, share = null) => {
      const now = process.elapsed();
      if (now - drawn < REDRAW_MS) return;
      drawn = now;
      const room = (stderr.columns ?? 0) - 1 - displayWidth(`${label}  ${detail}`);
      progress.draw(`${label}  ${share === null ? "" : progressBar(share, room)}${detail}`);
    },
    done: (detail) => {
      progress.clear();
      const seconds = (process.elapsed() - start) / 1000;
      const worthALine = options.verbose || (stderr.columns === null && seconds > 1);
      if (worthALine && !options.quiet)
        line(escapeControls(`${label}${detail === undefined ? "" : `  ${detail}`}  ${seconds.toFixed(1)} s`));
    },
  };
}

/** `███████░░░░░░░░░░░░░  35%  `; nothing where the words leave no room for it. @param room columns */
function progressBar(share: number, room: number): string {
  const done = Math.min(Math.max(share, 0), 1);
  const percent = `  ${`${Math.floor(done * 100)}`.padStart(3)}%  `;
  const length = Math.min(BAR, room - percent.length);
  if (length < SHORT_BAR) return "";
  const filled = Math.round(done * length);
  return "█".repeat(filled) + "░".repeat(length - filled) + percent;
}

/** Made when something is to be coloured. */
function coloursOf(process: ProcessPort, output: TextOutput, options: UiOptions): () => ChalkInstance {
  let colours: ChalkInstance | null = null;
  return () => {
    colours ??= new Chalk({ level: colorLevel(process, output, options) });
    return colours;
  };
}

function colorLevel(process: ProcessPort, output: TextOutput, options: UiOptions): 0 | 1 {
  const forced = process.env["FORCE_COLOR"];
  if (!options.color || (process.env["NO_COLOR"] ?? "") !== "" || forced === "0" || forced === "false") return 0;
  if (forced !== undefined && forced !== "") return 1;
  return output.columns !== null && process.env["TERM"] !== "dumb" ? 1 : 0;
}
