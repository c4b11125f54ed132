/** The JSON shape of what `diff` reports. */
import { z } from "zod";

/** What `--json` prints. */
export const diffReportSchema = z.strictObject({
  equal: z.boolean(),
  digests: z.array(z.string()).length(2),
  differences: z.array(
    z.strictObject({ path: z.string(), field: z.string(), a: z.string().nullable(), b: z.string().nullable() }),
  ),
});
