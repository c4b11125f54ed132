/** Runs other programs: the only place that does. What they say on standard error comes through as it comes. */
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, resolve } from "node:path";
import { SealError } from "../errors.ts";
import { orUndo } from "./undo.ts";

/** Environment variables of a program that is run. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface ShellCommand {
  /** What `/bin/sh -c` takes. */
  readonly command: string;
  /** All of its standard input; it need not read it. */
  readonly input: Uint8Array;
  readonly env: Environment;
  readonly cwd: string;
  readonly timeoutSeconds: number;
  /** Gets what it writes to standard error. */
  readonly onStderr: (bytes: Uint8Array) => void;
}

/** Far more than any answer that is asked for here; a program that writes without end is stopped. */
const MAX_OUTPUT_BYTES = 1 << 20;
/** The largest document of an image, see `JSON_LIMIT`, and some more. */
const MAX_ANSWER_BYTES = 8 << 20;
/** Characters of what a program said: the reason is usually at the end, after a path. */
const SAID_LIMIT = 400;
/** How long a program that was asked to end has before it is killed. */
const GRACE_MS = 1_000;

/**
 * Runs a shell command to its end.
 * @returns its standard output
 * @throws SealError `external`, one line with the command, when it does not exit with 0 in time
 */
export async function runShellCommand(options: ShellCommand): Promise<Uint8Array> {
  const { command, timeoutSeconds } = options;
  // Loaded where it is used: most runs call no other program.
  const { execa } = await import("execa");
  const child = execa(command, {
    shell: "/bin/sh",
    input: options.input,
    env: { ...options.env },
    extendEnv: false,
    cwd: options.cwd,
    encoding: "buffer",
    stripFinalNewline: false,
    maxBuffer: { stdout: MAX_OUTPUT_BYTES },
    buffer: { stderr: false },
    timeout: timeoutSeconds * 1000,
    forceKillAfterDelay: GRACE_MS,
    reject: false,
  });
  child.stderr.on("data", options.onStderr);
  // What the shell started may outlive it and keep the pipes open; don't wait for that.
  const closePipes = setTimeout(
    () => {
      child.stdout.destroy();
      child.stderr.destroy();
    },
    timeoutSeconds * 1000 + 2 * GRACE_MS,
  );
  const result = await child;
  clearTimeout(closePipes);
  const failed = (reason: string) =>
    new SealError("external", `${displayCommand(command)}: ${reason}`, { cause: result });
  if (result.timedOut) throw failed(`did not finish within ${timeoutSeconds} seconds and was stopped`);
  if (result.isMaxBuffer) throw failed(`wrote more than ${MAX_OUTPUT_BYTES} bytes and was stopped`);
  if (result.signal !== undefined) throw failed(`was killed by ${result.signal}`);
  if (result.exitCode === undefined) throw failed(`can't be run: ${result.originalMessage ?? "unknown reason"}`);
  if (result.exitCode !== 0) throw failed(`failed with exit code ${result.exitCode}`);
  return result.stdout;
}

/** The absolute path of a program, looked up as a shell does; null when it is not there. */
export async function findProgram(name: string, env: Environment, cwd: string): Promise<string | null> {
  const directories = name.includes("/") ? [cwd] : (env["PATH"] ?? "").split(delimiter);
  for (const directory of directories) {
    const path = resolve(cwd, directory, name);
    const runs = await access(path, constants.X_OK).then(
      async () => (await stat(path)).isFile(),
      () => false,
    );
    if (runs) return path;
  }
  return null;
}

export interface ProgramOptions {
  readonly cwd: string;
  readonly env: Environment;
  /** All of its standard input; default: nothing. */
  readonly input?: string | undefined;
  /** Whether its standard output is wanted, which must not be endless then; default: it is lost. */
  readonly keepsOutput?: boolean;
  /** Makes the message of a failure out of what the program said on standard error; default: {@link programFailed}. */
  readonly explain?: (stderr: string) => string;
}

/**
 * Runs a program to its end. A signal that ends this process ends it too.
 * @param program absolute path
 * @returns what it said on standard output, where {@link ProgramOptions.keepsOutput} asks for it; else nothing
 * @throws SealError `external` with the last line that it said, when it does not exit with 0
 */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: ProgramOptions,
): Promise<Uint8Array> {
  const { execa } = await import("execa");
  const child = execa(program, args, {
    cwd: options.cwd,
    env: { ...options.env, LC_ALL: "C.UTF-8" },
    extendEnv: false,
    ...(options.input === undefined ? { stdin: "ignore" } : { input: options.input }),
    stdout: options.keepsOutput === true ? "pipe" : "ignore",
    encoding: "buffer",
    stripFinalNewline: false,
    maxBuffer: MAX_ANSWER_BYTES,
    reject: false,
  });
  const finished = await orUndo(
    () => void child.kill("SIGKILL"),
    async () => child,
  );
  if (!finished.failed) return finished.stdout ?? new Uint8Array();
  const result = { ...finished, stderr: Buffer.from(finished.stderr).toString() };
  const { explain } = options;
  if (explain === undefined || result.stderr.trim() === "") throw programFailed(program, result);
  throw new SealError("external", explain(result.stderr), { cause: result });
}

/** What a program that did not do its work says about that. */
export function programFailed(
  program: string,
  result: { readonly exitCode?: number | undefined; readonly signal?: string | undefined; readonly stderr: string },
): SealError {
  const how = result.signal === undefined ? `exit code ${result.exitCode ?? "unknown"}` : `killed by ${result.signal}`;
  const said = result.stderr.trim().split("\n").at(-1) ?? "";
  return new SealError(
    "external",
    `${program}: failed (${how})${said === "" ? "" : `: ${displayCommand(said, SAID_LIMIT)}`}`,
    {
      cause: result,
    },
  );
}

/** A command in a message: one line, not endless. @param limit characters */
export function displayCommand(command: string, limit = 80): string {
  const line = command.replace(/[^ -~\u{a0}-\u{10ffff}]+/gu, " ").trim();
  return line.length > limit ? `${line.slice(0, limit - 1)}…` : line;
}
