/** What is shown while something takes long. */
import { expect, it } from "vitest";
import { oneStepAtATime, startBytes, startScan } from "../../../src/cli/terminal/progress.ts";

/** A clock that is set by hand, and the details that a step was shown with. */
function watched() {
  const shown: string[] = [];
  const clock = { now: 0 };
  const step = { update: (detail: string) => shown.push(detail), done: (detail?: string) => shown.push(`${detail}.`) };
  return { shown, clock, context: { process: { elapsed: () => clock.now }, ui: { step: () => step } } };
}

const MB = 1_000_000;
const stats = (bytesHashed: number) => ({ files: 1200, directories: 1, bytesHashed });

it("tells files, bytes, their rate, and the time left once it can be told", () => {
  const { shown, clock, context } = watched();
  const { onProgress, done } = startScan(context, "reading x");
  for (const [now, bytes, share] of [
    [500, 5 * MB, 0.5],
    [2000, 8 * MB, null],
    [3000, 12 * MB, 0.01],
    [4000, 40 * MB, 0.25],
    [6000, 60 * MB, 1],
  ] as const) {
    clock.now = now;
    onProgress(stats(bytes), share);
  }
  done(stats(60 * MB));
  expect(shown).toEqual([
    "1,200 files · 5.0 MB · 10.0 MB/s",
    "1,200 files · 8.0 MB · 4.0 MB/s",
    "1,200 files · 12.0 MB · 4.0 MB/s",
    "1,200 files · 40.0 MB · 10.0 MB/s · 12 s left",
    "1,200 files · 60.0 MB · 10.0 MB/s",
    "1,200 files · 60.0 MB · 10.0 MB/s.",
  ]);
});

it("counts in minutes what takes long", () => {
  const { shown, clock, context } = watched();
  const { onBytes } = startBytes(context, "writing x");
  clock.now = 60_000;
  onBytes(6 * MB, 0.1);
  onBytes(6 * MB);
  expect(shown).toEqual(["6.0 MB · 100.0 kB/s · 9 min left", "6.0 MB · 100.0 kB/s"]);
});

it("shows of several steps the one that began first, until it has ended", () => {
  const shown: string[] = [];
  const step = (label: string) => ({
    update: (detail: string) => shown.push(`${label} ${detail}`),
    done: () => shown.push(`${label} done`),
  });
  const joint = oneStepAtATime({ step });
  const [one, two, three] = [joint.step("one"), joint.step("two"), joint.step("three")];
  two.update("a");
  one.update("b");
  two.done();
  three.update("c");
  one.done();
  three.update("d");
  three.done();
  expect(shown).toEqual(["one b", "two done", "one done", "three d", "three done"]);
});
