import { describe, expect, it } from "vitest";
import type { Aim, Benchmark, Contender, Result, Run } from "../../bench/frame.ts";
import { resultRows } from "../../bench/table.ts";

const CONTENDERS: readonly Contender[] = [
  { name: "seal", command: [] },
  { name: "peer", command: [] },
  { role: "floor", name: "least", command: [] },
];

/** The only row of a comparison in which each contender takes as long in each of two turns. */
function rowOf(aim: Aim, ...milliseconds: readonly number[]) {
  const benchmark: Benchmark = { kind: "compare", title: "x", needs: [], rounds: 2, aim, prepare: () => CONTENDERS };
  const run = (wall: number): Run => ({ milliseconds: wall, cpuMilliseconds: 2 * wall, peakMebibytes: null });
  const result: Result = {
    kind: "compare",
    contenders: CONTENDERS.slice(0, milliseconds.length),
    runs: milliseconds.map((wall) => [run(wall), run(wall)]),
  };
  const [row, ...others] = resultRows(benchmark, [result]);
  expect(others).toEqual([]);
  return row;
}

describe("a comparison with a floor", () => {
  it("says how many times as fast as the peer the floor is", () => {
    expect(rowOf({}, 100, 90, 60)).toMatchObject({
      against: "peer",
      result: "0.90 times as fast (0.90–0.90)",
      floor: "1.50 times as fast (1.50–1.50), 0.67 times the CPU time",
    });
    expect(rowOf({}, 100, 90)?.floor).toBe("");
  });

  it("says of an aim that is missed whether the floor reaches it", () => {
    expect(rowOf({ times: 1.4 }, 100, 90, 60)?.aim).toBe("≥ 1.4 times: **no**");
    expect(rowOf({ times: 1.6 }, 100, 90, 60)?.aim).toBe("≥ 1.6 times: **no** (beyond the floor)");
    expect(rowOf({ times: 1.6 }, 100, 90)?.aim).toBe("≥ 1.6 times: **no**");
    expect(rowOf({ cpu: 0.7 }, 100, 90, 60)?.aim).toBe("≤ 0.7 times the CPU time: **no** (1.11)");
    expect(rowOf({ cpu: 0.6 }, 100, 90, 60)?.aim).toBe("≤ 0.6 times the CPU time: **no** (1.11, beyond the floor)");
  });

  it("takes an aim that is reached as reached", () => {
    expect(rowOf({ times: 1.1 }, 80, 90, 85)?.aim).toBe("≥ 1.1 times: yes");
  });
});
