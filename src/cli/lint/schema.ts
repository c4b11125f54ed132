/** What `seal lint --json` prints. */
import { z } from "zod";
import { hostReportSchema } from "../sealing/host-report.ts";

/** `rules`: those that say why not, or without which there is no answer. */
const answered = z.strictObject({ ok: z.boolean().nullable(), rules: z.array(z.string()) });
const unanswered = z.strictObject({ id: z.string(), reason: z.string() });
/** Its shape is stable within a major version. */
export const lintReportSchema = z.strictObject({
  findings: z.array(
    z.strictObject({
      id: z.string(),
      severity: z.enum(["error", "warning", "info"]),
      path: z.string(),
      message: z.string(),
      fix: z.string(),
    }),
  ),
  passed: z.array(z.string()),
  notApplicable: z.array(unanswered),
  couldNotRun: z.array(unanswered),
  hosts: z.array(z.strictObject({ path: z.string(), verdicts: z.array(hostReportSchema) })),
  /** Null without `--after`. */
  after: z.strictObject({ image: z.string(), starts: answered, back: answered }).nullable(),
});
/** The same with `--all-platforms`, in the order of the index. */
export const lintsReportSchema = z.strictObject({
  images: z.array(z.strictObject({ platform: z.string(), ...lintReportSchema.shape })),
});
/** What `--list` prints as JSON. */
export const ruleListReportSchema = z.strictObject({
  rules: z.array(
    z.strictObject({
      id: z.string(),
      severity: z.enum(["error", "warning", "info"]),
      applies: z.enum(["unsealed", "sealed", "any", "image", "after"]),
      finds: z.string(),
    }),
  ),
});
