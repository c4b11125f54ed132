/** Which bootc releases accept what was sealed: for programs and for people. */
import { z } from "zod";
import { REASONS } from "../../boot/hosts.ts";
import { describeEnforcement, describeVerdicts, type HostReport } from "../../boot/hosts-text.ts";
import type { Judged } from "../../seal/verdicts.ts";
import type { ReportRow } from "../terminal/report.ts";

const step = z.object({ ok: z.boolean().nullable(), reasons: z.array(z.string()) });

/** A verdict as `--json` has it, see {@link HostReport}. */
export const hostReportSchema: z.ZodType<HostReport> = z.object({
  releases: z.string(),
  accepts: step,
  installs: step,
  boots: step,
  enforces: step,
  reason: z.enum(REASONS).nullable(),
  why: z.string().nullable(),
  expected: z.string().nullable(),
  option: z.string().nullable(),
});

/** The verdicts as rows of a report. */
export function hostRows({ verdicts, bootc }: Judged): ReportRow[] {
  const mark = verdicts.some(({ kind }) => kind === "accepts") ? "info" : "warning";
  const rows: ReportRow[] = [{ mark, label: "accepted by", text: describeVerdicts(verdicts) }];
  const enforcement = describeEnforcement(verdicts);
  if (enforcement.length > 0) {
    const isFailing = verdicts.some(({ enforces }) => enforces.ok === false);
    rows.push({ mark: isFailing ? "warning" : "info", label: "fs-verity", text: [...enforcement] });
  }
  if (bootc !== null && bootc.note !== null) rows.push({ mark: "info", label: "bootc inside", text: [bootc.note] });
  if (bootc?.accepts === false) {
    const text = [
      `${bootc.version} in the image does not accept this image: a host that runs it can't install`,
      "the next image sealed like this one. See docs/hosts.md",
    ];
    rows.push({ mark: "warning", label: "bootc inside", text });
  }
  return rows;
}
