/**
 * Whether V8 may use Turbofan, the slowest of its compilers. Its code is a little faster than Maglev's, which pays off
 * for programs that run for minutes; of a digest, compiling takes 8 to 18 % of the CPU time and saves none.
 *
 * This is a setting of the whole process, so only the program changes it, never the library. V8 takes code that was kept
 * for it only under the settings that it was kept under, and node starts a thread from such code: so Turbofan is left
 * out when a thread is up, and allowed while one starts.
 */
import { setFlagsFromString } from "node:v8";

/** Replaced when the program is built; the library, and the sources as they are, have none. */
declare const SEAL_OWNS_PROCESS: true | undefined;

/** The oldest node, and the processors, whose V8 uses Maglev. */
const OLDEST_WITH_MAGLEV = 24;
const MAGLEV_PROCESSORS: readonly string[] = ["x64", "arm64"] satisfies NodeJS.Architecture[];

/** Has V8 make do with its other compilers, in all threads: for work that takes tenths of a second or more. */
export function leaveOutTurbofan(): void {
  if (isOurs()) setFlagsFromString("--no-turbofan");
}

/** Before a thread starts, which leaves it out again. */
export function allowTurbofan(): void {
  if (isOurs()) setFlagsFromString("--turbofan");
}

function isOurs(): boolean {
  if (typeof SEAL_OWNS_PROCESS === "undefined") return false;
  return hasMaglev(process.versions.node, process.arch);
}

/** Whether a node has a compiler beside Turbofan that optimizes. @param version such as `24.1.0` */
export function hasMaglev(version: string, arch: string): boolean {
  return Number.parseInt(version, 10) >= OLDEST_WITH_MAGLEV && MAGLEV_PROCESSORS.includes(arch);
}
