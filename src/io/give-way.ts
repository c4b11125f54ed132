/**
 * Lets what waits in this thread run before it goes on: answers of other threads, and what is to be given to them next.
 */
export { setImmediate as giveWay } from "node:timers/promises";
