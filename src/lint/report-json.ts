/** A lint report for programs. */
import { reportVerdicts } from "../boot/hosts-text.ts";
import type { Rule } from "./rule.ts";
import type { LintReport } from "./run.ts";

/** The report as plain data; findings have their fields in a fixed order. */
export function toJson({ findings, passed, notApplicable, couldNotRun, hosts, after }: LintReport): unknown {
  return {
    findings: findings.map(({ id, severity, path, message, fix }) => ({ id, severity, path, message, fix })),
    passed,
    notApplicable,
    couldNotRun,
    hosts: hosts.map(({ path, verdicts }) => ({ path, verdicts: reportVerdicts(verdicts) })),
    after,
  };
}

/** The table of rules as plain data. */
export function rulesToJson(rules: readonly Rule[]): unknown {
  return { rules: rules.map(({ id, severity, applies, finds }) => ({ id, severity, applies, finds })) };
}
