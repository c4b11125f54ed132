import { describe, expect, it } from "vitest";
import { together } from "../../src/io/together.ts";

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
