/** `seal lint`: findings by severity with their fix, then hosts, then what was looked at. */
import type { z } from "zod";
import type { lintReportSchema } from "../lint/schema.ts";
import { hostsTable } from "./hosts.ts";
import { type Html, html } from "./markup.ts";
import { code, folded, list, type Mark, markOf, type Page, type Section, sign } from "./parts.ts";

type LintReport = z.infer<typeof lintReportSchema>;
type Finding = LintReport["findings"][number];

const SEVERITIES = [
  { severity: "error", title: "Errors", mark: "bad" },
  { severity: "warning", title: "Warnings", mark: "open" },
  { severity: "info", title: "Notes", mark: "good" },
] as const;

/** @param subject what was linted, as the user called it */
export function lintPage(subject: string, report: LintReport): Page {
  const { findings, hosts, passed, notApplicable, couldNotRun } = report;
  const count = (severity: Finding["severity"]) => findings.filter((one) => one.severity === severity).length;
  const mark = count("error") > 0 ? "bad" : count("warning") > 0 || couldNotRun.length > 0 ? "open" : "good";
  return {
    subject,
    kind: "Lint",
    verdict: {
      mark,
      text: `${plural(count("error"), "error")}, ${plural(count("warning"), "warning")}, ${passed.length} rules passed`,
    },
    sections: [
      ...SEVERITIES.flatMap(({ severity, title, mark: of }): Section[] => {
        const some = findings.filter((one) => one.severity === severity);
        return some.length === 0 ? [] : [{ title, body: html`${some.map((one) => findingOf(one, of))}` }];
      }),
      ...(report.after === null ? [] : [{ title: "The next image", body: afterOf(report.after) }]),
      ...hosts.map(({ path, verdicts }) => ({ title: `Hosts: ${path}`, body: hostsTable(verdicts) })),
      {
        title: "Rules",
        body: html`${folded(`${passed.length} passed`, list(passed.map(code)))}${folded(
          `${notApplicable.length} did not apply`,
          list(notApplicable.map(({ id, reason }) => html`${code(id)} ${reason}`)),
        )}${couldNotRun.length === 0 ? null : folded(`${couldNotRun.length} could not run`, list(couldNotRun.map(({ id, reason }) => html`${code(id)} ${reason}`)))}`,
      },
    ],
  };
}

function findingOf({ id, path, message, fix }: Finding, mark: Mark): Html {
  return html`<article class="finding ${mark}"><h3>${code(id)}${path === "" ? null : html` &middot; ${code(path)}`}</h3><p>${message}</p>${fix === "" ? null : html`<p><strong>Fix:</strong> ${fix}</p>`}</article>
`;
}

function afterOf({ image, starts, back }: NonNullable<LintReport["after"]>): Html {
  const answer = ({ ok, rules }: { readonly ok: boolean | null; readonly rules: readonly string[] }) =>
    html`${sign(markOf(ok))} ${ok === null ? "that depends" : ok ? "yes" : "no"}${rules.length === 0 ? null : ` (${rules.join(", ")})`}`;
  return html`<p>On machines that run ${code(image)}:</p><p>Does it start there? ${answer(starts)}</p><p>Is there a way back? ${answer(back)}</p>`;
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}
