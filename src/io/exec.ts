/** Runs other programs: the only place that does. What they say on standard error comes through as it comes. */
import { SealError } from "../errors.ts";

export interface ShellCommand {
  /** What `/bin/sh -c` takes. */
  readonly command: string;
  /** All of its standard input; it need not read it. */
  readonly input: Uint8Array;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly timeoutSeconds: number;
  /** Gets what it writes to standard error. */
  readonly onStderr: (bytes: Uint8Array) => void;
}

/** Far more than any answer that is asked for here; a program that writes without end is stopped. */
const MAX_OUTPUT_BYTES = 1 << 20;
/** How long a program that was told to end gets before it is killed. */
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
  // What the shell started may outlive it and keep the pipes open; nobody waits for that.
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
  if (result.timedOut) throw failed(`gave no answer within ${timeoutSeconds} seconds and was stopped`);
  if (result.isMaxBuffer) throw failed(`wrote more than ${MAX_OUTPUT_BYTES} bytes and was stopped`);
  if (result.signal !== undefined) throw failed(`was ended by ${result.signal}`);
  if (result.exitCode === undefined) throw failed(`can't be run: ${result.originalMessage ?? "unknown reason"}`);
  if (result.exitCode !== 0) throw failed(`failed with exit code ${result.exitCode}`);
  return result.stdout;
}

/** A command in a message: one line, not endless. */
export function displayCommand(command: string): string {
  const line = command.replace(/[^ -~\u{a0}-\u{10ffff}]+/gu, " ").trim();
  return line.length > 80 ? `${line.slice(0, 79)}…` : line;
}
