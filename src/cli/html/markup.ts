/** HTML that can't be broken out of: what is put into a template is escaped, unless a template made it. */
import { escapeControls } from "../../bytes.ts";

/** A piece of a page, made by {@link html}. */
export class Html {
  readonly markup: string;

  private constructor(markup: string) {
    this.markup = markup;
  }

  /** Literal parts as they are, values escaped. Lists are put together; null is nothing. */
  static of(parts: readonly string[], values: readonly HtmlValue[]): Html {
    return new Html(parts.map((part, index) => part + (index < values.length ? markupOf(values[index]) : "")).join(""));
  }
}

/**
 * What a template takes. Text stays text: markup in it, control characters and those that turn the direction
 * of writing are shown.
 */
export type HtmlValue = string | number | Html | readonly HtmlValue[] | null | undefined;

/** The tag of templates: `html`<td>${name}</td>``. */
export function html(parts: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return Html.of(parts, values);
}

function markupOf(value: HtmlValue): string {
  if (value === null || value === undefined) return "";
  if (value instanceof Html) return value.markup;
  if (typeof value === "number") return String(value);
  if (typeof value === "string") return escapeText(value);
  return value.map(markupOf).join("");
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Of control characters the newline stays, for texts of several lines. */
function escapeText(text: string): string {
  return text
    .split("\n")
    .map(escapeControls)
    .join("\n")
    .replace(/[&<>"']/g, (char) => ENTITIES[char] ?? char);
}
