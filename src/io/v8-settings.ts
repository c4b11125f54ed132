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
 * kept for it only under the settings that it was kept under, and node starts a thread from such code: so they are
 * changed when a thread is up, and put back while one starts.
 */
import { setFlagsFromString } from "node:v8";

/** Replaced when the program is built; the library, and the sources as they are, have none. */
declare const SEAL_OWNS_PROCESS: true | undefined;

/** The oldest node, and the processors, whose V8 uses Maglev. */
const OLDEST_WITH_MAGLEV = 24;
const MAGLEV_PROCESSORS: readonly string[] = ["x64", "arm64"] satisfies NodeJS.Architecture[];

/** Sets V8, in all threads, for work that takes tenths of a second or more. */
export function setForWork(): void {
  if (!isOurs()) return;
  setFlagsFromString("--no-turbofan");
  setFlagsFromString("--semi-space-growth-factor=1");
}

/** Sets V8 as it was at the start, before a thread starts, which calls {@link setForWork} again. */
export function setForStart(): void {
  if (!isOurs()) return;
  setFlagsFromString("--turbofan");
  setFlagsFromString("--semi-space-growth-factor=2");
}

function isOurs(): boolean {
  if (typeof SEAL_OWNS_PROCESS === "undefined") return false;
  return hasMaglev(process.versions.node, process.arch);
}

/** Whether a node has a compiler beside Turbofan that optimizes. @param version such as `24.1.0` */
export function hasMaglev(version: string, arch: string): boolean {
  return Number.parseInt(version, 10) >= OLDEST_WITH_MAGLEV && MAGLEV_PROCESSORS.includes(arch);
}
