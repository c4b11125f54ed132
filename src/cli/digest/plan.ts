/** What the options say about digests, with what is to be said of the releases that they name. */
import { type DigestOptions, type DigestPlan, planDigest } from "../../seal/digest-plan.ts";
import type { Context } from "../context.ts";

/** @throws SealError as `planDigest` */
export function planFrom(context: Context, options: DigestOptions): DigestPlan {
  const plan = planDigest(options);
  for (const note of plan.notes) context.ui.warn(note);
  return plan;
}
