/** Which bootc releases accept what was sealed: for programs and for people. */
import { z } from "zod";
import { describeVerdicts, type HostVerdict, hostVerdicts, optionFor } from "../boot/hosts.ts";
import { hostDigests } from "../composefs/host-digests.ts";
import { PROFILES } from "../composefs/profile.ts";
import type { RootfsDigests } from "./digests.ts";
import type { ReportRow } from "./report.ts";

/** A verdict as `--json` has it. */
export const hostReportSchema = z.object({
  /** A line of releases: `1.16.7–1.16.9`. */
  releases: z.string(),
  /** Null: not known. */
  accepts: z.boolean().nullable(),
  /** What it refuses: `digest`, `order`, `no-digest`, `malformed`, `tree` or `initramfs`. */
  reason: z.string().nullable(),
  /** The same in words, or what must be true besides. */
  why: z.string().nullable(),
  /** The digest that it computes, of SHA-512. */
  expected: z.string().nullable(),
  /** With which option it would accept. */
  option: z.string().nullable(),
});
export type HostReport = z.infer<typeof hostReportSchema>;

export function hostReport(verdicts: readonly HostVerdict[]): HostReport[] {
  return verdicts.map((verdict) => ({
    releases: verdict.profile.line,
    accepts: verdict.kind === "unknown" ? null : verdict.kind === "accepts",
    reason: verdict.kind === "refuses" ? verdict.reason : null,
    why: verdict.kind === "accepts" ? verdict.condition : verdict.why,
    expected: verdict.expected,
    option: optionFor(verdict),
  }));
}

/**
 * The verdicts on a root filesystem that was just hashed; no file is read again for them.
 * @param cmdline of its UKI
 */
export async function verdictsOn(computed: RootfsDigests, cmdline: string): Promise<readonly HostVerdict[]> {
  const { shaped, digests, mtime, paxOwners, choices } = computed;
  if (choices.algorithm !== "sha512") {
    const why = "bootc computes digests of SHA-512 only";
    return hostVerdicts(
      cmdline,
      PROFILES.map((profile) => ({ kind: "unknown", profile, why })),
    );
  }
  const { transform, xattrs } = choices.transform;
  const known = transform === "boot" && xattrs === "allowlist" ? digests : [];
  return hostVerdicts(cmdline, await hostDigests(shaped, { mtime, paxOwners, known }));
}

/** The verdicts as a row of a report. */
export function hostRow(verdicts: readonly HostVerdict[]): ReportRow {
  const mark = verdicts.some(({ kind }) => kind === "accepts") ? "info" : "warning";
  return { mark, label: "accepted by", text: describeVerdicts(verdicts) };
}
