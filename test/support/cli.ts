/** Runs the command line in this process, with everything around it recorded. */
import { run } from "../../src/cli/main.ts";
import type { ProcessPort } from "../../src/io/process-port.ts";

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  /** The same as bytes. */
  readonly stdoutBytes: Buffer;
  readonly stderr: string;
}

export interface CliOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  readonly stdin?: Uint8Array;
  /** Width of the terminal that output goes to; none by default. */
  readonly columns?: number;
  readonly now?: Date;
  /** Sees what goes to standard error, as it comes. */
  readonly onStderr?: (text: string) => void;
}

export async function seal(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  const sink = (parts: Buffer[], onWrite: (text: string) => void = () => {}) => ({
    write: (data: string | Uint8Array) => {
      parts.push(Buffer.from(data as Uint8Array));
      onWrite(String(data));
    },
    columns: options.columns ?? null,
  });
  const port: ProcessPort = {
    env: options.env ?? {},
    cwd: options.cwd ?? process.cwd(),
    stdout: sink(out),
    stderr: sink(err, options.onStderr),
    stdin: async () => options.stdin ?? new Uint8Array(),
    now: () => options.now ?? new Date("2026-01-02T03:04:05Z"),
    // So slow that no step takes the second from which on a log has a line of it, however slow the machine is.
    elapsed: () => performance.now() / 1000,
  };
  const code = await run(args, port);
  return {
    code,
    stdout: Buffer.concat(out).toString(),
    stdoutBytes: Buffer.concat(out),
    stderr: Buffer.concat(err).toString(),
  };
}
