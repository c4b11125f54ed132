/** Waiting for what another process does: until it is seen, never for a time. */

import type { ChildProcess } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";

/** Far longer than anything takes on a slow machine. */
const LIMIT_MS = 60_000;

/**
 * Waits until something holds.
 * @param what it is, for the message of the failure
 * @param child who is to bring it about: when it has ended, nothing more is waited for
 * @returns whether it holds; else the child has ended
 * @throws when it takes a minute
 */
export async function until(what: string, holds: () => boolean, child?: ChildProcess): Promise<boolean> {
  const end = performance.now() + LIMIT_MS;
  for (;;) {
    const ended = child !== undefined && (child.exitCode !== null || child.signalCode !== null);
    if (holds()) return true;
    if (ended) return false;
    if (performance.now() > end) throw new Error(`in a minute it did not come to this: ${what}`);
    await setTimeout(1);
  }
}

/** Whether the script that wrote its process number to a file has done so, and not only made the file. */
export function hasPid(path: string): boolean {
  return existsSync(path) && readFileSync(path, "latin1").endsWith("\n");
}

/** Whether a process is gone, or dead and waiting for somebody to notice. @param pid as text */
export function isGone(pid: string): boolean {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
  } catch {
    return true;
  }
}
