/**
 * Reads damaged and hostile files with every parser. What is promised of all of them is in `target.ts`: only errors of
 * the input, in one line of moderate length; bounded time and memory. What a parser promises beside that is in
 * `targets/`: what is accepted and can be written is the same when it is read again, and no file verifies of which a
 * covered byte was changed.
 *
 * CI replays fixed seeds. `npm run fuzz` goes on with others, `SEAL_FUZZ_SECONDS` a target; fast-check prints
 * the seed and the smallest input that breaks a promise. What was found is kept in `corpus/`, or as a test
 * beside the parser's others.
 */
import fc from "fast-check";
import { describe, it } from "vitest";
import { mutations } from "./mutate.ts";
import { check, corpus, MemoryWatch } from "./target.ts";
import { attestTargets } from "./targets/attest.ts";
import { peTargets } from "./targets/pe.ts";
import { signTargets } from "./targets/sign.ts";
import { textTargets } from "./targets/text.ts";
import { treeTargets } from "./targets/trees.ts";
import { unpackTargets } from "./targets/unpack.ts";

const SECONDS = Number(process.env["SEAL_FUZZ_SECONDS"] ?? 0);
/** Of a replay. */
const RUNS = 400;
const SEED = 20260601;

const TARGETS = [...peTargets, ...signTargets, ...unpackTargets, ...treeTargets, ...textTargets, ...attestTargets];

describe.each(TARGETS)("$name", (target) => {
  it(
    "keeps its promises",
    async () => {
      const seeds = [...(await target.seeds()), ...corpus(target.name)];
      const memory = new MemoryWatch();
      // None of them is refused: what is wrong with a decoder could hide as a refusal otherwise.
      for (const bytes of seeds) await target.read(new Uint8Array(bytes));
      let inputs = 0;
      const start = { wall: performance.now(), cpu: process.cpuUsage() };
      const campaign = {
        numRuns: Number.MAX_SAFE_INTEGER,
        interruptAfterTimeLimit: SECONDS * 1000,
        markInterruptAsFailure: false,
      };
      await fc.assert(
        fc.asyncProperty(mutations(seeds, target.tokens ?? [], target.fields), async (bytes) => {
          inputs++;
          memory.saw(bytes);
          await check(target, bytes);
        }),
        SECONDS > 0 ? campaign : { numRuns: RUNS, seed: SEED },
      );
      memory.check();
      if (SECONDS > 0) {
        const { user, system } = process.cpuUsage(start.cpu);
        const wall = (performance.now() - start.wall) / 1e3;
        const text = `${target.name}: ${inputs} inputs in ${wall.toFixed()} s, ${((user + system) / 1e6).toFixed()} s of CPU`;
        process.stdout.write(`${text}, seed ${process.env["SEAL_TEST_SEED"]}\n`);
      }
    },
    (SECONDS + 120) * 1000,
  );
});
