/** Runs rules over a root filesystem and sorts what they say. */
import { SealError } from "../errors.ts";
import { answersOf, type NextImageAnswers } from "./answers.ts";
import type { LintContext } from "./context.ts";
import type { UkiHosts } from "./hosts.ts";
import type { Problem, Rule, RuleResult, Severity } from "./rule.ts";

/** A problem that a lint rule found. */
export interface Finding extends Omit<Problem, "severity"> {
  /** Of the rule. */
  readonly id: string;
  readonly severity: Severity;
}

/** A rule that neither passed nor found anything. */
export interface Unanswered {
  readonly id: string;
  readonly reason: string;
}

/** What all rules found. */
export interface LintReport {
  /** Errors first; otherwise in the order of the rules. */
  readonly findings: readonly Finding[];
  /** Ids of the rules that found nothing, or only notes. */
  readonly passed: readonly string[];
  readonly notApplicable: readonly Unanswered[];
  readonly couldNotRun: readonly Unanswered[];
  /** Which bootc releases accept the UKIs; none before sealing, and where no digest can be computed. */
  readonly hosts: readonly UkiHosts[];
  /** Null without `--after`. */
  readonly after: NextImageAnswers | null;
}

/**
 * All rules but the skipped ones.
 * @throws SealError `usage` when a rule to be skipped does not exist
 */
export function selectRules(rules: readonly Rule[], skip: readonly string[]): Rule[] {
  const unknown = skip.filter((id) => !rules.some((rule) => rule.id === id));
  if (unknown.length > 0) {
    throw new SealError("usage", `--skip: there is no rule ${unknown.join(", ")}. seal lint --list shows all rules`);
  }
  return rules.filter(({ id }) => !skip.includes(id));
}

/**
 * Runs rules one after the other. A rule that can't read something counts as one that could not run.
 * @example
 * ```ts
 * import { createContext, LATEST_RELEASE, openRootfs, parseRootfsSource, RULES, runRules, seriesOf } from "seal";
 *
 * const reading = { algorithm: "sha512", xattrs: ["security.capability", "user."], cwd: process.cwd() } as const;
 * const { rootfs } = await openRootfs(parseRootfsSource("root"), reading);
 * const nothing = { certificates: [], mustBeSealed: false, sbatLevel: null, image: null, after: null };
 * const seriesList = [seriesOf(LATEST_RELEASE)] as const;
 * const context = createContext(rootfs, { ...nothing, seriesList, now: new Date(), rootfsFor: async () => rootfs });
 * const { findings } = await runRules(RULES, context);
 * for (const { id, severity, message } of findings) console.log(severity, id, message);
 * ```
 */
export async function runRules(rules: readonly Rule[], context: LintContext): Promise<LintReport> {
  const findings: Finding[] = [];
  const passed: string[] = [];
  const notApplicable: Unanswered[] = [];
  const couldNotRun: Unanswered[] = [];
  for (const rule of rules) {
    const { id } = rule;
    const result = await check(rule, context);
    switch (result.kind) {
      case "checked":
        findings.push(...result.problems.map((problem) => ({ severity: rule.severity, ...problem, id })));
        if (result.problems.every(({ severity }) => severity === "info")) passed.push(id);
        break;
      case "not-applicable":
        notApplicable.push({ id, reason: result.reason });
        break;
      case "could-not-run":
        couldNotRun.push({ id, reason: result.reason });
        break;
    }
  }
  const bySeverity = (severity: Severity) => findings.filter((finding) => finding.severity === severity);
  return {
    findings: [...bySeverity("error"), ...bySeverity("warning"), ...bySeverity("info")],
    passed,
    notApplicable,
    couldNotRun,
    hosts: await acceptingHosts(context),
    after: answersOf(context, { findings, passed, couldNotRun }),
  };
}

async function acceptingHosts({ sealed, hosts }: LintContext): Promise<readonly UkiHosts[]> {
  if (!sealed) return [];
  try {
    return await hosts();
  } catch (error) {
    // Rules have reported it: uki-digest could not run.
    if (error instanceof SealError) return [];
    throw error;
  }
}

async function check(rule: Rule, context: LintContext): Promise<RuleResult> {
  if (["sealed", "after"].includes(rule.applies) && !context.sealed)
    return { kind: "not-applicable", reason: "the tree is not sealed" };
  if (rule.applies === "unsealed" && context.sealed) return { kind: "not-applicable", reason: "the tree is sealed" };
  try {
    return await rule.check(context);
  } catch (error) {
    if (error instanceof SealError) return { kind: "could-not-run", reason: error.message };
    throw error;
  }
}

/** How many findings there are of a severity. */
export function countFindings(report: LintReport, severity: Severity): number {
  return report.findings.filter((finding) => finding.severity === severity).length;
}
