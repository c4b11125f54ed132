/**
 * How long a property is tried on real tools: some runs in `npm test`, and in `npm run test:long` as many as there are
 * in SEAL_TEST_SECONDS for each property, with a line that says how many those were.
 */
import type fc from "fast-check";

const seconds = Number(process.env["SEAL_TEST_SECONDS"] ?? 0);
if (!(seconds >= 0)) throw new Error("SEAL_TEST_SECONDS: give the seconds that each property is tried for");

export interface Campaign {
  readonly parameters: Pick<fc.Parameters, "numRuns" | "interruptAfterTimeLimit" | "markInterruptAsFailure">;
  /** Counts a case under each of these words, for {@link report}. */
  readonly count: (...words: readonly string[]) => void;
  /** How often a word was counted. */
  readonly counted: (word: string) => number;
  /** In a long run prints what was tried. */
  readonly report: (title: string) => void;
  /** For the test, in milliseconds. */
  readonly timeout: number;
}

/** @param runs how many cases `npm test` tries */
export function campaign(runs: number): Campaign {
  const counts = new Map<string, number>();
  const isLong = seconds > 0;
  return {
    parameters: isLong
      ? // Shrinking to the smallest case is worth its time, which is not counted.
        { numRuns: 1e6, interruptAfterTimeLimit: seconds * 1000, markInterruptAsFailure: false }
      : { numRuns: runs },
    count: (...words) => {
      for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
    },
    counted: (word) => counts.get(word) ?? 0,
    report: (title) => {
      const figures = [...counts].map(([word, count]) => `${count} ${word}`).join(", ");
      if (isLong) console.log(`${title}: ${figures}`);
    },
    timeout: Math.max(240_000, seconds * 3000),
  };
}
