/**
 * A lint rule: data, and one function that checks a root filesystem. A rule that has nothing to check, or that can't
 * check it, says so: neither counts as passed.
 */
import type { LintContext } from "./context.ts";

const SEVERITIES = ["error", "warning", "info"] as const;
/**
 * `error`: it will not boot, or is not safe; `warning`: it works, but perhaps not as expected; `info`: a note, nothing
 * is wrong.
 */
export type Severity = (typeof SEVERITIES)[number];

/** What a rule says about one place. */
export interface Problem {
  /** In the tree, without a leading slash; bytes made readable. */
  readonly path: string;
  /** What is wrong, and what happens if it is not fixed. */
  readonly message: string;
  /** What to do about it; `""` if there is nothing to do, as for notes. */
  readonly fix: string;
  /** If it is not the severity of the rule. */
  readonly severity?: Severity;
  /** If it answers a question about the next image. */
  readonly answer?: Answer;
}

/**
 * `starts`: does a machine that was installed from another image boot this one? `back`: does the other image still boot
 * afterwards?
 */
export type Question = "starts" | "back";

/** An answer of `seal lint --after` to one question. */
export interface Answer {
  readonly question: Question;
  /** Null: unknown. */
  readonly ok: false | null;
}

/** What a lint rule found, or why it could not run. */
export type RuleResult =
  /** No problem: passed. */
  | { readonly kind: "checked"; readonly problems: readonly Problem[] }
  | { readonly kind: "not-applicable"; readonly reason: string }
  | { readonly kind: "could-not-run"; readonly reason: string };

/** A lint rule. */
export interface Rule {
  /** Stable, as scripts skip rules by id. A rule that bootc has too has bootc's name. */
  readonly id: string;
  readonly severity: Severity;
  /** What it finds, as a phrase. */
  readonly finds: string;
  /**
   * Before sealing, after it, or both; `image`: only where there are layers; `after`: only with `--after`, the image
   * that machines run.
   */
  readonly applies: "unsealed" | "sealed" | "any" | "image" | "after";
  /** @throws SealError when something in the tree can't be read; the rule then counts as one that could not run */
  readonly check: (context: LintContext) => RuleResult | Promise<RuleResult>;
}

/** The result of a rule that ran. */
export function checked(...problems: readonly (Problem | null)[]): RuleResult {
  return { kind: "checked", problems: problems.filter((problem) => problem !== null) };
}

export function notApplicable(reason: string): RuleResult {
  return { kind: "not-applicable", reason };
}

export function couldNotRun(reason: string): RuleResult {
  return { kind: "could-not-run", reason };
}
