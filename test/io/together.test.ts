import { describe, expect, it } from "vitest";
import { forEachOf, inTurn, together } from "../../src/io/together.ts";

/** Never ends but by the signal. */
const stopped = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

describe("together", () => {
  it("gives both results", async () => {
    expect(
      await together(
        async () => 1,
        async () => "two",
      ),
    ).toEqual([1, "two"]);
  });

  it.each([0, 1])("stops the other one when one fails, and tells why it did (%i)", async (failing) => {
    const fail = async () => {
      throw new Error("no space left");
    };
    const work = failing === 0 ? together(fail, stopped) : together(stopped, fail);
    await expect(work).rejects.toThrow("no space left");
  });

  it("waits for what can't be stopped at once", async () => {
    let ended = false;
    const slow = async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      ended = true;
    };
    await expect(together(slow, async () => Promise.reject(new Error("first")))).rejects.toThrow("first");
    expect(ended).toBe(true);
  });
});

describe("forEachOf", () => {
  it("gives results in the order of the items, whoever ends first, with no more than so many at a time", async () => {
    let running = 0;
    let most = 0;
    const results = await forEachOf([5, 1, 3, 0, 2], 2, async (turns) => {
      most = Math.max(most, ++running);
      for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
      running--;
      return turns * 10;
    });
    expect({ results, most }).toEqual({ results: [50, 10, 30, 0, 20], most: 2 });
    expect(await forEachOf([], 2, async () => 1)).toEqual([]);
  });

  it("begins nothing more when one fails, stops the others, and throws the first error", async () => {
    const begun: string[] = [];
    const work = forEachOf(["runs", "fails", "waits"], 2, async (item, signal) => {
      begun.push(item);
      if (item === "fails") throw new Error("no space left");
      return stopped(signal);
    });
    await expect(work).rejects.toThrow("no space left");
    expect(begun).toEqual(["runs", "fails"]);
  });
});

describe("inTurn", () => {
  it("begins a call when the one before it has ended, well or not", async () => {
    const order: string[] = [];
    const work = inTurn(async (name: string) => {
      order.push(`${name} begins`);
      await new Promise(setImmediate);
      order.push(`${name} ends`);
      if (name === "a") throw new Error("a fails");
      return name;
    });
    const [a, b, c] = await Promise.allSettled([work("a"), work("b"), work("c")]);
    expect(order).toEqual(["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]);
    expect([a, b, c]).toMatchObject([{ status: "rejected" }, { value: "b" }, { value: "c" }]);
  });
});
