/**
 * What a benchmark is, and how commands are measured: in turns, with wall time, CPU time and peak memory of each run.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import koffi from "koffi";
import type { Need } from "../test/support/peers.ts";

/** A command to be measured. */
export interface Contender {
  readonly name: string;
  /**
   * A floor does only what every program on node must do for the job, and nothing of use: an aim that it does not reach
   * is beyond the runtime. Without: a program that does the job.
   */
  readonly role?: "floor";
  /** The program and its arguments. */
  readonly command: readonly string[];
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** The exit code that it shall have; 0 without. */
  readonly status?: number;
  /** Called before each run, and not measured: puts back what a run changes. */
  readonly before?: () => void;
}

/** What is to be reached; what is left out is not asked for. */
export interface Aim {
  /** So many times as fast as the first peer, in wall time. */
  readonly times?: number;
  /** Wall time of seal in milliseconds. */
  readonly milliseconds?: number;
  /** CPU time of seal, as so many times that of the first peer at most. */
  readonly cpu?: number;
  /** Peak memory of seal in MiB. */
  readonly mebibytes?: number;
  /** Share of a limit, 0 to 1. */
  readonly share?: number;
}

interface Common {
  /** What is measured, as a heading. */
  readonly title: string;
  readonly needs: readonly Need[];
  /** Runs only with `--full`. */
  readonly full?: true;
  readonly aim?: Aim;
}

/** Commands that do the same, seal first; floors are last. */
export interface Comparison extends Common {
  readonly kind: "compare";
  /** Turns that count. */
  readonly rounds: number;
  /**
   * Makes the inputs in an empty directory (below /tmp, where peers in trees can see it) that is removed afterwards.
   */
  readonly prepare: (directory: string) => readonly Contender[] | Promise<readonly Contender[]>;
}

/** Anything else: one figure of seal against a limit of the machine. */
export interface ShareOfLimit extends Common {
  readonly kind: "share";
  readonly rounds: number;
  /** What the share is of: `openssl speed …`. */
  readonly limit: string;
  /** One turn: what seal reaches and what the machine can do, in the same unit. */
  readonly measure: (directory: string) => { readonly reached: number; readonly limit: number };
}

export type Benchmark = Comparison | ShareOfLimit;

/** What one run of an entry measured. */
export type Result =
  | { readonly kind: "compare"; readonly contenders: readonly Contender[]; readonly runs: readonly Run[][] }
  | { readonly kind: "share"; readonly shares: readonly number[] };

/** One run of a command. */
export interface Run {
  readonly milliseconds: number;
  /** User and system time, of the processes that it started too. */
  readonly cpuMilliseconds: number;
  /** Null without GNU time. */
  readonly peakMebibytes: number | null;
}

const SEAL = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const GNU_TIME = "/usr/bin/time";

/** The built command line of seal with these arguments. */
export function sealCommand(...args: readonly string[]): readonly string[] {
  return [process.execPath, SEAL, ...args];
}

/** Runs a command once. It must end as it shall. */
export function measure(contender: Contender): Run {
  const report = join(tmpdir(), `seal-bench-${process.pid}.time`);
  const wrapper = existsSync(GNU_TIME) ? [GNU_TIME, "-f", "%M", "-o", report] : [];
  const [program = "", ...args] = [...wrapper, ...contender.command];
  contender.before?.();
  const cpuBefore = childrenCpu();
  const start = performance.now();
  const result = spawnSync(program, args, {
    cwd: contender.cwd,
    env: { ...process.env, ...contender.env },
    maxBuffer: 1 << 30,
  });
  const milliseconds = performance.now() - start;
  if (result.status !== (contender.status ?? 0))
    throw new Error(`${contender.command.join(" ")}: ${result.stderr || result.error}`);
  const cpuMilliseconds = childrenCpu() - cpuBefore;
  if (wrapper.length === 0) return { milliseconds, cpuMilliseconds, peakMebibytes: null };
  const kibibytes = Number(readFileSync(report, "utf8").trim().split("\n").at(-1));
  rmSync(report);
  return { milliseconds, cpuMilliseconds, peakMebibytes: kibibytes / 1024 };
}

const getrusage = koffi.load(null).func("int getrusage(int who, int64_t *usage)") as (
  who: number,
  usage: BigInt64Array,
) => number;
const RUSAGE_CHILDREN = -1;

/** User and system time of all processes that have ended, in milliseconds; GNU time tells it in steps of ten. */
function childrenCpu(): number {
  // struct rusage begins with two struct timeval, of seconds and microseconds each.
  const usage = new BigInt64Array(18);
  getrusage(RUSAGE_CHILDREN, usage);
  const [userSeconds = 0n, userMicroseconds = 0n, seconds = 0n, microseconds = 0n] = usage;
  return Number(userSeconds + seconds) * 1000 + Number(userMicroseconds + microseconds) / 1000;
}

/** Runs all contenders in turns: one array of runs each, in their order. */
export function inTurns(contenders: readonly Contender[], rounds: number): Run[][] {
  for (const contender of contenders) measure(contender);
  const runs: Run[][] = contenders.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, contender] of contenders.entries()) runs[index]?.push(measure(contender));
  }
  return runs;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Calls a function with an empty directory that exists only during the call. */
export async function withDirectory<Result>(use: (directory: string) => Result | Promise<Result>): Promise<Result> {
  const directory = mkdtempSync(join(tmpdir(), "seal-bench-"));
  try {
    return await use(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
