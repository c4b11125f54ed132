/** Man pages in the macros of man(7), which every formatter knows. */
import { breakWords } from "../src/text.ts";

/** A page that grows line by line. */
export class Page {
  readonly #lines: string[];

  /** @param date of the page, `2026-01-02`; empty: none @param source what it belongs to, with its version */
  constructor(name: string, section: number, date: string, source: string) {
    this.#lines = [`.TH ${quoted(name.toUpperCase())} ${section} "${date}" ${quoted(source)}`];
  }

  name(name: string, what: string): void {
    this.section("Name");
    this.text(`${escaped(name)} \\- ${escaped(what)}`);
  }

  section(title: string): void {
    this.#lines.push(`.SH ${escaped(title.toUpperCase())}`);
  }

  subsection(title: string): void {
    this.#lines.push(`.SS ${escaped(title)}`);
  }

  /** Goes on in the paragraph that was begun. @param before joins it to what is there */
  text(text: string, before = ""): void {
    const last = this.#lines.at(-1) ?? "";
    if (before !== "") this.#lines[this.#lines.length - 1] = `${last}${before}`;
    this.#lines.push(...wrapped(text));
  }

  paragraph(text: string): void {
    if (!/^\.S[HS] /.test(this.#lines.at(-1) ?? "")) this.#lines.push(".PP");
    this.#lines.push(...wrapped(text));
  }

  /** A tagged paragraph. */
  entry(tag: string, text: string): void {
    this.#lines.push(".TP", tag, ...wrapped(text));
  }

  /** Text that is printed as it is, indented. */
  literal(text: string): void {
    const begin = /^\.S[HS] /.test(this.#lines.at(-1) ?? "") ? [".RS 4"] : [".PP", ".RS 4"];
    this.#lines.push(...begin, ".EX", ...text.split("\n").map(escaped), ".EE", ".RE");
  }

  toString(): string {
    return `${this.#lines.join("\n")}\n`;
  }
}

/** Text without markup. Dashes are those that can be copied into a shell, and no line begins with a command of roff. */
export function escaped(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^(?=[.'])/gm, "\\&");
}

export function bold(text: string): string {
  return `\\fB${escaped(text)}\\fR`;
}

export function italic(text: string): string {
  return `\\fI${escaped(text)}\\fR`;
}

export function lines(...all: readonly string[]): string {
  return all.join("\n");
}

/** Lines of a source that people read too; a dot at the beginning of one would be a command. */
function wrapped(text: string): string[] {
  return text
    .split("\n")
    .flatMap((line) => breakWords(line.split(" "), 76).map((part) => part.replace(/^(?=[.'])/, "\\&")));
}

function quoted(text: string): string {
  return `"${escaped(text)}"`;
}
