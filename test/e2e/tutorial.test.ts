/**
 * docs/tutorial.md, every command typed as it stands there, from a bare Debian 13 to a machine that
 * refuses what was changed.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { linePattern, stepsOf, type Typed, typeAsNewcomer } from "../support/newcomer.ts";
import { describeWith } from "../support/peers.ts";

const TIMEOUT = 1_800_000;
const page = readFileSync(fileURLToPath(new URL("../../docs/tutorial.md", import.meta.url)), "utf8");
const steps = stepsOf(page);

describeWith(["root", "newcomer"], "docs/tutorial.md", () => {
  let directory = "";
  let typed: Typed = { output: [], failed: [] };

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "seal-tutorial-"));
    typed = await typeAsNewcomer(directory, steps, TIMEOUT);
  }, TIMEOUT);

  // Files of a root filesystem that is not ours can have any mode.
  afterAll(() => spawnSync("rm", ["-rf", directory]));

  it("has commands that succeed, but for the two starts of what was broken", () => {
    const said = typed.output.map((output, index) => `${steps[index]?.commands}${output}`).join("\n");
    expect(typed.failed, said).toEqual([
      "1 seal boot-test --disk disk.raw --enroll keys --expect 'Input/output error'",
      "1 seal boot-test --disk disk.raw --enroll keys",
    ]);
  });

  it.each(steps.filter(({ shown }) => shown.length > 0))("shows what is seen: $commands", (step) => {
    let rest = (typed.output[steps.indexOf(step)] ?? "").split("\n");
    for (const line of step.shown) {
      const at = rest.findIndex((said) => linePattern(line).test(said));
      expect(at, `${line}\n\nis not in what is left of\n\n${rest.join("\n")}`).toBeGreaterThanOrEqual(0);
      rest = rest.slice(at + 1);
    }
  });
});
