/** The last line of a test run, in the form that CI systems count. */
import type { Reporter, TestCase } from "vitest/node";

export default class CountReporter implements Reporter {
  #counts = { passed: 0, failed: 0, skipped: 0, pending: 0 };

  onTestCaseResult(test: TestCase): void {
    this.#counts[test.result().state]++;
  }

  onTestRunEnd(): void {
    const { passed, failed, skipped } = this.#counts;
    // After the default reporter's summary.
    process.on("exit", () => {
      if (failed > 0)
        process.stdout.write(`SEAL_TEST_SEED=${process.env["SEAL_TEST_SEED"]} draws the same values again\n`);
      process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
    });
  }
}
