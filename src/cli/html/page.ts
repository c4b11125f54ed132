/** A page of reports: one file without anything else, which needs no network and no script. */
import { version } from "../version.ts";
import { Html, html } from "./markup.ts";
import { type Page, type Section, sign } from "./parts.ts";
import { STYLE } from "./style.ts";

/**
 * Nothing may be loaded and nothing run, whatever were to get into a page: the only style sheet is the one in it
 * (Content Security Policy Level 3).
 */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
/** The only text that is put in as it is. */
const SHEET = Html.of([`<style>${STYLE}</style>`], []);

/**
 * All reports in one page. Nothing in it differs from run to run.
 * @param reports at least one; the first gives the title, and further ones get a heading each
 * @returns UTF-8 text of an HTML document
 */
export function renderPage(reports: readonly [Page, ...Page[]]): string {
  const [{ subject }] = reports;
  const body =
    reports.length === 1
      ? reports[0].sections.map((section, index) => sectionOf(section, `s${index + 1}`))
      : reports.map((report, index) => partOf(report, subject, `s${index + 1}`));
  const titles =
    reports.length === 1 ? reports[0].sections.map(({ title }) => title) : reports.map((one) => titleOf(one, subject));
  return html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${[...new Set(reports.map(({ kind }) => kind))].join(", ")}: ${subject}</title>
${SHEET}
</head>
<body>
<header>
<a class="skip" href="#report">Skip to the report</a>
<h1>${subject}</h1>
${reports.length === 1 ? verdictOf(reports[0]) : null}<nav aria-label="Sections"><ul>${titles.map((title, index) => html`<li><a href="#s${index + 1}">${title}</a></li>`)}</ul></nav>
</header>
<main id="report">
${body}</main>
<footer>Written by seal ${version()}. The page is complete: it loads nothing and runs nothing.</footer>
</body>
</html>
`.markup;
}

/** One report of several. */
function partOf(report: Page, pageSubject: string, id: string): Html {
  return html`<section class="part" aria-labelledby="${id}"><h2 id="${id}">${titleOf(report, pageSubject)}</h2>
${verdictOf(report)}${report.sections.map(
  ({ title, body }) => html`<h3>${title}</h3>
${body}
`,
)}</section>
`;
}

function titleOf({ kind, subject }: Page, pageSubject: string): string {
  return subject === pageSubject ? kind : `${kind}: ${subject}`;
}

const VERDICTS = { good: "good", bad: "bad", open: "look at it" } as const;

function verdictOf({ kind, verdict: { mark, text } }: Page): Html {
  return html`<p class="verdict ${mark}">${sign(mark, VERDICTS[mark])} ${kind}: ${text}</p>
`;
}

function sectionOf({ title, body }: Section, id: string): Html {
  return html`<section aria-labelledby="${id}"><h2 id="${id}">${title}</h2>
${body}
</section>
`;
}
