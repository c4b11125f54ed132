/** Waiting for what another process does: until it is seen, never for a time. */
import type { ChildProcess } from "node:child_process";
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
