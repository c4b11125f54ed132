/**
 * How V8 works for a program that runs for seconds:
 *
 * - without Turbofan, the slowest of its compilers. Its code is a little faster than Maglev's, which pays off in
 *   minutes; of a digest, compiling takes 8 to 18 % of the CPU time and saves none.
 * - with memory for new objects that does not grow. Most objects of a tree live as long as it does: where they are moved
 *   later, they are moved no less, but memory that is used again stays in the processor's cache, and every new page of it
 *   costs as much as hashing half a block. Growing takes 1 to 2 % of the CPU time, and 10 to 40 MB.
 *
 * These are settings of the whole process, so only the program changes them, never the library. V8 takes code that was
 * kept for it only under the settings that it was kept under: node starts threads and loads its modules from such code,
 * and the program its chunks. So settings are changed when no thread is starting, and put back while something is
 * loaded: without its code, node's crypto takes three times as long to load, and a thread 20 to 90 ms more to start.
 */
import { setFlagsFromString } from "node:v8";
import { getEnvironmentData, setEnvironmentData } from "node:worker_threads";

/** Replaced when the program is built; the library, and the sources as they are, have none. */
declare const SEAL_OWNS_PROCESS: true | undefined;

/** The oldest node, and the processors, whose V8 uses Maglev. */
const OLDEST_WITH_MAGLEV = 24;
const MAGLEV_PROCESSORS: readonly string[] = ["x64", "arm64"] satisfies NodeJS.Architecture[];

/** What all threads share of this module, by this name: numbers at these places. */
const SHARED = "seal: settings of V8";
/** Of threads that have been started, and are not up yet. */
const STARTING = 0;
/** 1 where V8 is set for work. */
const AT_WORK = 1;

/** Null until this thread sets something; of no use before. */
let shared: Int32Array | null = null;

function openShared(): Int32Array {
  if (shared !== null) return shared;
  const known = getEnvironmentData(SHARED);
  shared = known instanceof Int32Array ? known : new Int32Array(new SharedArrayBuffer(8));
  if (shared !== known) setEnvironmentData(SHARED, shared);
  return shared;
}

/** Sets V8, in all threads, for work that takes tenths of a second or more, unless a thread is starting. */
export function setForWork(): void {
  if (!isOurs() || Atomics.load(openShared(), STARTING) > 0) return;
  Atomics.store(openShared(), AT_WORK, 1);
  setFlagsFromString("--no-turbofan");
  setFlagsFromString("--semi-space-growth-factor=1");
}

/** Sets V8 as it was at the start. */
function setForStart(): void {
  Atomics.store(openShared(), AT_WORK, 0);
  setFlagsFromString("--turbofan");
  setFlagsFromString("--semi-space-growth-factor=2");
}

/** To be called before a thread starts, which calls {@link noteThreadUp}. */
export function noteThreadStarts(): void {
  if (!isOurs()) return;
  Atomics.add(openShared(), STARTING, 1);
  setForStart();
}

/** Called by a thread when its script runs: V8 is set for work when that of the last one does. */
export function noteThreadUp(): void {
  if (!isOurs()) return;
  Atomics.sub(openShared(), STARTING, 1);
  setForWork();
}

/** Loads something under the settings that V8's code of it was kept under. @returns what `load` returns */
export function loadAsAtStart<Result>(load: () => Result): Result {
  if (shared === null || Atomics.load(shared, AT_WORK) === 0) return load();
  setForStart();
  try {
    return load();
  } finally {
    setForWork();
  }
}

function isOurs(): boolean {
  if (typeof SEAL_OWNS_PROCESS === "undefined") return false;
  return hasMaglev(process.versions.node, process.arch);
}

/** Whether a node has a compiler beside Turbofan that optimizes. @param version such as `24.1.0` */
export function hasMaglev(version: string, arch: string): boolean {
  return Number.parseInt(version, 10) >= OLDEST_WITH_MAGLEV && MAGLEV_PROCESSORS.includes(arch);
}
