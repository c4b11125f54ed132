/** Takes back what is half done, when it fails and when a signal ends the process. */

const SIGNALS = ["SIGHUP", "SIGINT", "SIGTERM"] as const;
/** Only while there is something to undo are signals listened to: they end the process by themselves. */
const pending = new Set<() => void>();

/**
 * Undoes something when a signal ends the process from now on.
 * @param undo as for {@link orUndo}; what was begun last is undone first
 * @returns call it when there is nothing to undo any more
 */
export function undoOnSignal(undo: () => void): () => void {
  if (pending.size === 0) for (const signal of SIGNALS) process.on(signal, onSignal);
  pending.add(undo);
  return () => {
    pending.delete(undo);
    if (pending.size === 0) stopListening();
  };
}

/**
 * Does some work, and undoes it when it fails or a signal ends the process in the middle of it.
 * @param undo gets along with whatever has been done so far, and does not wait: the process is about to end.
 *   What it throws is lost.
 */
export async function orUndo<Result>(undo: () => void, work: () => Promise<Result>): Promise<Result> {
  const release = undoOnSignal(undo);
  try {
    return await work();
  } catch (error) {
    attempt(undo);
    throw error;
  } finally {
    release();
  }
}

function onSignal(signal: NodeJS.Signals): void {
  for (const undo of [...pending].reverse()) attempt(undo);
  stopListening();
  // The parent sees that it was this signal, as a shell needs to stop a script.
  process.kill(process.pid, signal);
}

function stopListening(): void {
  for (const signal of SIGNALS) process.off(signal, onSignal);
}

/**
 * Undoes one thing. What can't be undone is not a reason to hide the error that it is undone for,
 * nor to leave the rest.
 */
export function attempt(undo: () => void): void {
  try {
    undo();
  } catch {}
}
