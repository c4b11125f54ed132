/** What all pages are built from: sections, tables, marks with their word. */
import { type Html, type HtmlValue, html } from "./markup.ts";

/** Good, bad, or not known; what it looks like is never all that says so. */
export type Mark = "good" | "bad" | "open";

/** One section of a page. */
export interface Section {
  readonly title: string;
  readonly body: Html;
}

/** A report as a page, or as a part of one. */
export interface Page {
  /** What it is about: a path, an image. */
  readonly subject: string;
  /** What kind of report it is: `Lint`. */
  readonly kind: string;
  readonly verdict: { readonly mark: Mark; readonly text: string };
  readonly sections: readonly Section[];
}

const SIGNS: Readonly<Record<Mark, string>> = { good: "✓", bad: "✗", open: "?" };
const WORDS: Readonly<Record<Mark, string>> = { good: "yes", bad: "no", open: "not known" };

/** A sign with the word that it means, which screen readers say. */
export function sign(mark: Mark, word = WORDS[mark]): Html {
  return html`<span class="sign ${mark}"><span aria-hidden="true">${SIGNS[mark]}</span><span class="said">${word}</span></span>`;
}

/** @param ok null: not known */
export function markOf(ok: boolean | null): Mark {
  return ok === null ? "open" : ok ? "good" : "bad";
}

/** A table with a caption for those who can't see where it is; its first column names the row. */
export function table(caption: string, head: readonly string[], rows: readonly (readonly HtmlValue[])[]): Html {
  return html`<div class="wide" tabindex="0" role="group" aria-label="${caption}"><table>
<caption class="said">${caption}</caption>
<thead><tr>${head.map((title) => html`<th scope="col">${title}</th>`)}</tr></thead>
<tbody>${rows.map(
    (
      row,
    ) => html`<tr>${row.map((cell, index) => (index === 0 ? html`<th scope="row">${cell}</th>` : html`<td>${cell}</td>`))}</tr>
`,
  )}</tbody></table></div>`;
}

/** Names and values. */
export function facts(pairs: readonly (readonly [name: string, value: HtmlValue])[]): Html {
  return html`<dl>${pairs.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

export function list(items: readonly HtmlValue[]): Html {
  return html`<ul>${items.map((item) => html`<li>${item}</li>`)}</ul>`;
}

/** A hash is marked, for in a table it needs some width. */
export function code(text: string): Html {
  return /^[0-9a-f]{40,}$/.test(text) ? html`<code class="hash">${text}</code>` : html`<code>${text}</code>`;
}

/** Something long that is closed at first. */
export function folded(summary: HtmlValue, body: Html): Html {
  return html`<details><summary>${summary}</summary>${body}</details>`;
}
