/**
 * Answers the two questions about the next image from what rules found: does it start on machines that run another one,
 * and can they go back?
 */
import type { LintContext } from "./context.ts";
import type { Problem, Question, Severity } from "./rule.ts";

/** What rules found, as a report has it. */
interface Found {
  readonly findings: readonly (Pick<Problem, "answer"> & { readonly id: string; readonly severity: Severity })[];
  readonly passed: readonly string[];
  readonly couldNotRun: readonly { readonly id: string }[];
}

/** A question about the next image, with its answer. */
export interface AnsweredQuestion {
  /** Null: unknown. */
  readonly ok: boolean | null;
  /** Ids of the rules that say why not; empty if the answer is yes. */
  readonly rules: readonly string[];
}

/** The answers for machines that run one image. */
export interface NextImageAnswers extends Readonly<Record<Question, AnsweredQuestion>> {
  /** How messages call that image. */
  readonly image: string;
}

/** The rules that must have run for a question to have an answer. Others add to it where they apply. */
const ASKED: Readonly<Record<Question, readonly string[]>> = {
  starts: ["after-machine", "after-release", "after-signature"],
  back: ["after-rollback"],
};

/** Rules whose errors keep an image from starting wherever it is installed. */
const BOOTING: readonly string[] = [
  "uki-missing",
  "uki-symlink",
  "uki-digest",
  "uki-signature",
  "uki-arch",
  "uki-initramfs",
  "not-a-uki",
  "composefs-dirs",
  "var-run",
  "etc-usretc",
  "utf8",
  "api-base-directories",
  "baseimage-root",
  "image-layers",
];

/** Null if not asked for. */
export function answersOf({ after }: Pick<LintContext, "after">, report: Found): NextImageAnswers | null {
  return after === null
    ? null
    : { image: after.subject, starts: answer("starts", report), back: answer("back", report) };
}

function answer(question: Question, { findings, passed, couldNotRun }: Found): AnsweredQuestion {
  const no = idsOf(findings.filter((one) => one.answer?.question === question && one.answer.ok === false));
  if (no.length > 0) return { ok: false, rules: no };
  const looked = new Set([...passed, ...findings.map(({ id }) => id)]);
  const isAsked = (id: string) => id.startsWith("after-") || (question === "starts" && BOOTING.includes(id));
  const doubts = [
    ...idsOf(findings.filter((one) => one.answer?.question === question)),
    ...ASKED[question].filter((id) => !looked.has(id)),
    ...couldNotRun.flatMap(({ id }) => (isAsked(id) ? [id] : [])),
    ...idsOf(
      findings.filter(({ id, severity }) => severity === "error" && question === "starts" && BOOTING.includes(id)),
    ),
  ];
  return { ok: doubts.length === 0 ? true : null, rules: [...new Set(doubts)] };
}

function idsOf(findings: Found["findings"]): readonly string[] {
  return [...new Set(findings.map(({ id }) => id))];
}
