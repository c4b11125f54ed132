/**
 * Threads that have not said anything yet. Node aborts the whole process if it ends one while it loads native code,
 * which a thread has done when it says something.
 */
const silent = new Set<object>();

/** Notes a thread that starts. @returns to be called when it has said something, or has ended */
export function noteSilent(thread: object): () => void {
  silent.add(thread);
  return () => void silent.delete(thread);
}

/** Whether all threads can be ended with the process. */
export function haveAllSpoken(): boolean {
  return silent.size === 0;
}
