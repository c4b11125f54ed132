/** What a command sees of the process around it. Tests pass one that records. */
import { existsSync, fstatSync, writeSync } from "node:fs";
import { EXIT_CODES, inputError, SealError } from "../errors.ts";
import { isSystemError, reasonOf } from "./files.ts";
import { collectStream, SMALL_FILE } from "./read-input.ts";

/** A text sink; `columns` is set when it is a terminal. */
export interface TextOutput {
  write(data: string | Uint8Array): void;
  /** Width of the terminal; null when it is none. */
  readonly columns: number | null;
}

/** What the program has of the process it runs in: environment, directory, streams and clocks. Tests give their own. */
export interface ProcessPort {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Absolute path that relative paths on the command line start from. */
  readonly cwd: string;
  readonly stdout: TextOutput;
  readonly stderr: TextOutput;
  /** All of standard input. @throws SealError `input` for more than any key has */
  readonly stdin: () => Promise<Uint8Array>;
  /** The wall clock; never read anywhere else. */
  readonly now: () => Date;
  /** Milliseconds that only grow, for durations in reports. */
  readonly elapsed: () => number;
}

/**
 * Whether this is a step of a container build, or another container, whose root directory is an image in the making
 * (systemd's container interface; the files of podman and Docker).
 */
export function runsInContainer(env: ProcessPort["env"]): boolean {
  return (env["container"] ?? "") !== "" || existsSync("/run/.containerenv") || existsSync("/.dockerenv");
}

/** The port to the running process. */
export function thisProcess(): ProcessPort {
  const stderr = descriptorOutput(2, () => process.stderr, ignore);
  return {
    env: process.env,
    get cwd() {
      return currentDirectory();
    },
    stdout: descriptorOutput(
      1,
      () => process.stdout,
      (error) => {
        stderr.write(`seal: standard output: can't be written: ${reasonOf(error)}\n`);
        process.once("exit", () => {
          process.exitCode = EXIT_CODES.input;
        });
      },
    ),
    stderr,
    stdin: async () => {
      const tooMuch = () =>
        inputError("standard input", `has more than ${SMALL_FILE} bytes; expected a key or a passphrase`);
      return collectStream(process.stdin, SMALL_FILE, tooMuch);
    },
    now: () => new Date(),
    elapsed: () => Number(process.hrtime.bigint()) / 1e6,
  };
}

function currentDirectory(): string {
  try {
    return process.cwd();
  } catch (error) {
    throw inputError("the current directory", "is gone; change to another one", error);
  }
}

function ignore(): void {}

/**
 * What is written goes to the file or pipe itself: node's streams take longer to load than everything else that a small
 * command does. They are used where they know more, for terminals, and for pipes of others that must not be waited for.
 * @param onError is called once, when what is written does not arrive
 */
function descriptorOutput(
  descriptor: 1 | 2,
  open: () => NodeJS.WriteStream,
  onError: (error: NodeJS.ErrnoException) => void,
): TextOutput {
  let failed = false;
  let stream: NodeJS.WriteStream | null = null;
  const fail = (error: NodeJS.ErrnoException) => {
    // A reader that has seen enough (`| head`) is not an error.
    if (!failed && error.code !== "EPIPE") onError(error);
    failed = true;
  };
  const opened = () => {
    stream ??= open().on("error", fail);
    return stream;
  };
  if (mayBeTerminal(descriptor)) opened();
  return {
    write: (data) => {
      if (failed) return;
      const bytes = typeof data === "string" ? Buffer.from(data) : data;
      let written = 0;
      try {
        while (stream === null && written < bytes.length) written += writeSync(descriptor, bytes, written);
      } catch (error) {
        if (!isSystemError(error)) throw error;
        if (error.code !== "EAGAIN") return fail(error);
      }
      if (written < bytes.length) opened().write(bytes.subarray(written));
    },
    get columns() {
      // A terminal whose width was never set has 0.
      return stream?.isTTY === true ? stream.columns || 80 : null;
    },
  };
}

/** Linux Documentation/admin-guide/devices.txt: the major number of null, zero and full. */
const MEMORY_DEVICES = 1;

function mayBeTerminal(descriptor: number): boolean {
  try {
    const stats = fstatSync(descriptor);
    return stats.isCharacterDevice() && stats.rdev >> 8 !== MEMORY_DEVICES;
  } catch {
    // It is closed: so what is written will say.
    return false;
  }
}

/**
 * The time that goes into outputs: SOURCE_DATE_EPOCH when it is set, else null: nothing that varies is written then
 * unless the user asks for it.
 * @throws SealError `usage` when it is not a whole number of seconds
 */
export function sourceDate(env: ProcessPort["env"]): Date | null {
  const text = env["SOURCE_DATE_EPOCH"];
  if (text === undefined || text === "") return null;
  const seconds = Number(text);
  if (!/^\d{1,12}$/.test(text) || seconds > 253_402_300_799) {
    throw new SealError("usage", `SOURCE_DATE_EPOCH is "${text}": give whole seconds since 1970 up to the year 9999`);
  }
  return new Date(seconds * 1000);
}
