/** `seal diff`: what differs, as a tree of directories that can be folded. */
import type { z } from "zod";
import type { diffReportSchema } from "../digest/diff-schema.ts";
import { formatCount } from "../terminal/report.ts";
import { type Html, html } from "./markup.ts";
import { code, facts, folded, type Page } from "./parts.ts";

type DiffReport = z.infer<typeof diffReportSchema>;
type Difference = DiffReport["differences"][number];

/** So many are shown; browsers take long for more, and `--json` has them all. */
const SHOWN = 5000;

interface Directory {
  readonly directories: Map<string, Directory>;
  readonly names: Map<string, Difference[]>;
  count: number;
}

/**
 * @param labels what the user calls the two sides
 * @param advice what the differences mean, in sentences
 */
export function differencesPage(
  [a, b]: readonly [string, string],
  { equal, digests, differences }: DiffReport,
  advice: readonly string[],
): Page {
  const shown = differences.slice(0, SHOWN);
  return {
    subject: `${a} and ${b}`,
    kind: "Difference",
    verdict: equal
      ? { mark: "good", text: "the same" }
      : { mark: "bad", text: `${formatCount(differences.length)} differences` },
    sections: [
      {
        title: "Digests",
        body: facts([
          [a, code(digests[0] ?? "")],
          [b, code(digests[1] ?? "")],
        ]),
      },
      ...(advice.length === 0
        ? []
        : [{ title: "What it means", body: html`${advice.map((line) => html`<p>${line}</p>`)}` }]),
      ...(differences.length === 0
        ? []
        : [
            {
              title: "Differences",
              body: html`${shown.length < differences.length ? html`<p>The first ${formatCount(SHOWN)} of ${formatCount(differences.length)}.</p>` : null}${drawDirectory(treeOf(shown), shown.length <= 200)}`,
            },
          ]),
    ],
  };
}

function treeOf(differences: readonly Difference[]): Directory {
  const root: Directory = emptyDirectory();
  for (const one of differences) {
    const parts = one.path.split("/").filter((part) => part !== "");
    const name = parts.pop() ?? "/";
    let at = root;
    at.count++;
    for (const part of parts) {
      const next = at.directories.get(part) ?? emptyDirectory();
      at.directories.set(part, next);
      next.count++;
      at = next;
    }
    at.names.set(name, [...(at.names.get(name) ?? []), one]);
  }
  return root;
}

function emptyDirectory(): Directory {
  return { directories: new Map(), names: new Map(), count: 0 };
}

function drawDirectory({ directories, names }: Directory, open: boolean): Html {
  return html`${[...names].map(
    ([name, changes]) => html`<div class="leaf">${code(name)} ${changes.map(change)}</div>
`,
  )}${[...directories].map(([name, directory]) => {
    const summary = html`${code(`${name}/`)} <span class="dim">${formatCount(directory.count)}</span>`;
    const body = drawDirectory(directory, open);
    return open
      ? html`<details open><summary>${summary}</summary>${body}</details>
`
      : folded(summary, body);
  })}`;
}

function change({ field, a, b }: Difference, index: number): Html {
  const separator = index === 0 ? "" : "; ";
  if (field === "added" || field === "removed") {
    const mark = field === "added" ? "good" : "bad";
    return html`${separator}<span class="${mark}">${field}</span> <span class="dim">${b ?? a}</span>`;
  }
  return html`${separator}<span class="dim">${field}:</span> ${a ?? "(none)"} &rarr; ${b ?? "(none)"}`;
}
