/** A lint report for people. Colour only marks what the words already say. */
import { describeVerdicts } from "../boot/hosts-text.ts";
import { breakWords } from "../text.ts";
import type { AnsweredQuestion, NextImageAnswers } from "./answers.ts";
import type { UkiHosts } from "./hosts.ts";
import type { Severity } from "./rule.ts";
import { countFindings, type Finding, type LintReport, type Unanswered } from "./run.ts";

/** Marks text; each function gives back its argument with or without colour. */
export interface Painter {
  readonly error: (text: string) => string;
  readonly warning: (text: string) => string;
  readonly info: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly bold: (text: string) => string;
  /** Of a report without findings. */
  readonly good: (text: string) => string;
}

/** Width of the column of severities, and of what is below it. */
const INDENT = 9;
const ID_WIDTH = 22;
/** Narrower terminals have no room for a margin. */
const NARROW = 50;

/**
 * The report without a final newline: each finding with its meaning and fix, then what could not be checked, then the
 * totals.
 * @param columns width that long lines are broken at; null: they are not
 */
export function toText(report: LintReport, paint: Painter, columns: number | null): string {
  return [
    ...report.findings.map((finding) => findingLines(finding, paint, columns)),
    ...report.couldNotRun.map((rule) => unansweredLines(rule, paint, columns)),
    ...report.hosts.map((hosts) => hostLines(hosts, paint, columns)),
    ...(report.after === null ? [] : [afterLines(report.after, paint, columns)]),
    [summary(report, paint)],
  ]
    .map((lines) => lines.join("\n"))
    .join("\n\n");
}

function findingLines({ severity, id, path, message, fix }: Finding, paint: Painter, columns: number | null): string[] {
  const rule = `${paint[severity](severity.padEnd(INDENT))}${paint.bold(id)}`;
  const gap = " ".repeat(Math.max(ID_WIDTH - id.length, 2));
  const isBeside = INDENT + id.length + gap.length + path.length <= (columns ?? Number.POSITIVE_INFINITY);
  const below = `${indentOf(columns)}${paint.bold(path)}`;
  return [
    ...(isBeside ? [`${rule}${gap}${paint.bold(path)}`] : [rule, below]),
    ...paragraph(message, columns),
    ...(fix === "" ? [] : paragraph(`Fix: ${fix}`, columns)),
  ];
}

function unansweredLines({ id, reason }: Unanswered, paint: Painter, columns: number | null): string[] {
  return [`${paint.dim("not run".padEnd(INDENT))}${id}`, ...paragraph(reason, columns)];
}

function hostLines({ path, verdicts }: UkiHosts, paint: Painter, columns: number | null): string[] {
  const [first = "", ...rest] = describeVerdicts(verdicts);
  const head = `${paint.dim("hosts".padEnd(INDENT))}${path}`;
  return [head, ...[`Accepted by ${first}`, ...rest].flatMap((text) => paragraph(sentence(text), columns))];
}

function afterLines({ image, starts, back }: NextImageAnswers, paint: Painter, columns: number | null): string[] {
  const head = `${paint.dim("after".padEnd(INDENT))}${image}`;
  const text = `Does it start there? ${answerText(starts)} Is there a way back? ${answerText(back)}`;
  return [head, ...paragraph(text, columns)];
}

function answerText({ ok, rules }: AnsweredQuestion): string {
  if (ok === true) return "Yes.";
  return `${ok === null ? "That depends" : "No"} (${rules.join(", ")}).`;
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

/** `2 findings (1 error, 1 warning) · 1 note · 31 rules passed · 1 not applicable` */
function summary(report: LintReport, paint: Painter): string {
  const { findings, passed, notApplicable, couldNotRun } = report;
  const kinds = (["error", "warning"] as const).flatMap((severity: Severity) => {
    const count = countFindings(report, severity);
    return count === 0 ? [] : [paint[severity](plural(count, severity))];
  });
  const notes = countFindings(report, "info");
  const parts = [
    kinds.length === 0
      ? paint.good("no findings")
      : `${paint.bold(plural(findings.length - notes, "finding"))} (${kinds.join(", ")})`,
    ...(notes === 0 ? [] : [plural(notes, "note")]),
    `${plural(passed.length, "rule")} passed`,
    ...(notApplicable.length === 0 ? [] : [`${notApplicable.length} not applicable`]),
    ...(couldNotRun.length === 0 ? [] : [`${couldNotRun.length} could not run`]),
  ];
  return parts.join(" · ");
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** Text below a finding, broken between words where a width is given. */
function paragraph(text: string, columns: number | null): string[] {
  const indent = indentOf(columns);
  const width = columns === null ? Number.POSITIVE_INFINITY : columns - indent.length;
  return breakWords(text.split(/\s+/), width).map((one) => indent + one);
}

function indentOf(columns: number | null): string {
  return " ".repeat(columns !== null && columns < NARROW ? 2 : INDENT);
}
