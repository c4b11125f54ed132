/**
 * A lint report as JUnit XML, which CI systems show as tests: a rule is a test case, or one for each finding. There is
 * no standard; the output is what the readers of Jenkins and GitLab accept, https://github.com/testmoapp/junitxml.
 */
import type { Finding, LintReport } from "./run.ts";

/** What was linted, with the result. */
export interface JunitReport {
  readonly report: LintReport;
  /** Distinguishes several root filesystems; absent: there is one. */
  readonly name?: string | undefined;
}

/**
 * @param reports each becomes a suite
 * @param fatalWarnings whether warnings are failures
 */
export function toJunit(reports: readonly JunitReport[], fatalWarnings: boolean): string {
  const suites = reports.map(({ report, name }) => suite(name ?? "seal lint", casesOf(report, fatalWarnings)));
  return ['<?xml version="1.0" encoding="UTF-8"?>', '<testsuites name="seal lint">', ...suites, "</testsuites>"].join(
    "\n",
  );
}

interface Case {
  readonly rule: string;
  readonly name: string;
  readonly result: "passed" | "failure" | "skipped";
  /** Lines inside of the case. */
  readonly body: readonly string[];
}

function suite(name: string, cases: readonly Case[]): string {
  const count = (result: Case["result"]) => cases.filter((one) => one.result === result).length;
  const sums = `tests="${cases.length}" failures="${count("failure")}" errors="0" skipped="${count("skipped")}"`;
  return [`  <testsuite name="${escaped(name)}" ${sums}>`, ...cases.map(caseText), "  </testsuite>"].join("\n");
}

function caseText({ rule, name, body }: Case): string {
  const head = `    <testcase classname="seal.${escaped(rule)}" name="${escaped(name)}"`;
  return body.length === 0
    ? `${head}/>`
    : [`${head}>`, ...body.map((line) => `      ${line}`), "    </testcase>"].join("\n");
}

function casesOf({ findings, passed, notApplicable, couldNotRun }: LintReport, fatalWarnings: boolean): Case[] {
  return [
    ...findings.map((finding) => findingCase(finding, fatalWarnings)),
    ...passed.map((id): Case => ({ rule: id, name: id, result: "passed", body: [] })),
    ...[...couldNotRun, ...notApplicable].map(
      ({ id, reason }): Case => ({
        rule: id,
        name: id,
        result: "skipped",
        body: [`<skipped message="${escaped(reason)}"/>`],
      }),
    ),
  ];
}

/** A finding that does not fail the check is a passed test with output. */
function findingCase({ id, severity, path, message, fix }: Finding, fatalWarnings: boolean): Case {
  const fails = severity === "error" || (severity === "warning" && fatalWarnings);
  const text = escaped(`${severity}: ${path}\n${message}${fix === "" ? "" : `\nFix: ${fix}`}`);
  const body = fails
    ? `<failure type="${severity}" message="${escaped(message)}">${text}</failure>`
    : `<system-out>${text}</system-out>`;
  return { rule: id, name: `${id}: ${path}`, result: fails ? "failure" : "passed", body: [body] };
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "\n": "&#10;",
  "\t": "&#9;",
};

/**
 * Escapes text for XML 1.0 (section 2.2): characters that XML can't contain, such as control characters in file names,
 * become `\u001b`.
 */
function escaped(text: string): string {
  return text.replace(/[&<>"\ufffe\uffff]|\p{Cc}|\p{Surrogate}/gu, (char) => {
    return ENTITIES[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
