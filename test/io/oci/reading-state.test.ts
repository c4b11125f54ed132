import { describe, expect, it } from "vitest";
import { ReadingState } from "../../../src/io/oci/reading-state.ts";

describe("ReadingState", () => {
  it("gives each number to one thread, of layers to read and of others", () => {
    const state = new ReadingState(2, 2);
    const other = new ReadingState(state.memory);
    expect([state.next(), other.next(), other.nextKnown(), state.nextKnown(), state.next()]).toEqual([0, 1, 0, 1, 2]);
  });

  it("has a free core while fewer threads read than there are cores, whichever thread asks", async () => {
    const state = new ReadingState(2, 2);
    const other = new ReadingState(state.memory);
    const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const reading = [state.reader(() => first.promise)];
    expect([state.hasFreeCore(), other.port(1, 0).hasFreeCore()]).toEqual([true, true]);
    reading.push(other.reader(() => second.promise));
    expect([state.hasFreeCore(), other.port(1, 0).hasFreeCore()]).toEqual([false, false]);
    first.reject(new Error("a thread that fails reads no more"));
    await expect(reading[0]).rejects.toThrow("reads no more");
    expect(other.hasFreeCore()).toBe(true);
    second.resolve();
    await reading[1];
  });
});
