/** A bound on the work that a policy can cause: nothing that an image brings along may keep seal busy for long. */
import { inputError } from "../../../errors.ts";

/** Steps of a matcher. A real policy of 5,500 lines on 15,000 paths takes under a million; these take some seconds. */
const STEPS = 50_000_000;

export class WorkBudget {
  /** Steps that were spent. */
  spent = 0;
  readonly #subject: string;
  #left: number;

  /** @param subject the policy in messages */
  constructor(subject: string, steps: number = STEPS) {
    this.#subject = subject;
    this.#left = steps;
  }

  /** Adds what one more path may cost, so that large trees don't use up what hostile patterns may. */
  allow(steps: number): void {
    this.#left += steps;
  }

  /** @throws SealError `input` when the work goes beyond all reason */
  spend(steps: number): void {
    this.spent += steps;
    this.#left -= steps;
    if (this.#left < 0) {
      throw inputError(this.#subject, "its patterns take too long to match; simplify nested or large repetitions");
    }
  }
}
