/**
 * Reads INI files as ukify does, which is Python's configparser with `=` as the only delimiter, `#` for comments
 * (at the start of a line or after a blank), values continued in lines that are indented deeper, and no
 * interpolation or quoting.
 */

import { SealError } from "../../errors.ts";
import { excerpt } from "../../text.ts";
import { indentOf, trimBlanks } from "./python-space.ts";

export interface IniSetting {
  readonly key: string;
  /** Lines of a value that has several are joined by newlines, without their indentation. */
  readonly value: string;
  /** Where it starts, from 1. */
  readonly line: number;
}

export interface IniSection {
  readonly name: string;
  /** In the order in which the keys were first given; the last value counts. */
  readonly settings: readonly IniSetting[];
}

/** The section whose settings hold in all others too, where they have none of their own. */
const DEFAULTS = "DEFAULT";

type Settings = Map<string, { value: string; line: number }>;

/**
 * @param path names the file in messages
 * @returns the sections in the order of the file; those of one name are one, and the defaults come first
 * @throws SealError `usage` with the number of the line that can't be read
 */
export function parseIni(text: string, path: string): IniSection[] {
  const sections = new Map<string, Settings>([[DEFAULTS, new Map()]]);
  let section: Settings | null = null;
  let open: { value: string } | null = null;
  let openIndent = 0;
  for (const [index, raw] of text.split(/\r\n?|\n/).entries()) {
    const line = index + 1;
    const content = trimBlanks(withoutComment(raw));
    if (content === "") {
      // An empty line, also one with a comment only, ends a value.
      openIndent = Number.POSITIVE_INFINITY;
      continue;
    }
    const indent = indentOf(raw);
    if (open !== null && indent > openIndent) {
      open.value += `\n${content}`;
      continue;
    }
    openIndent = indent;
    const header = /^\[(.+)\]/.exec(content)?.[1];
    if (header !== undefined) {
      section = sections.get(header) ?? new Map();
      sections.set(header, section);
      open = null;
      continue;
    }
    if (section === null)
      throw problem(path, line, `"${excerpt(content)}" comes before the first section, such as [UKI]`);
    const delimiter = content.indexOf("=");
    const key = trimBlanks(content.slice(0, Math.max(delimiter, 0)));
    if (key === "") throw problem(path, line, `"${excerpt(content)}" is not a setting; give KEY=VALUE`);
    const setting = { value: trimBlanks(content.slice(delimiter + 1)), line };
    open = setting;
    section.set(key, setting);
  }
  const defaults = sections.get(DEFAULTS) ?? new Map();
  return Array.from(sections, ([name, own]) => ({
    name,
    settings: Array.from(new Map([...own, ...defaults, ...own]), ([key, setting]) => ({ key, ...setting })),
  }));
}

/** Up to a `#` that starts the line or follows a blank. */
function withoutComment(line: string): string {
  for (let at = line.indexOf("#"); at !== -1; at = line.indexOf("#", at + 1)) {
    if (at === 0 || trimBlanks(line.charAt(at - 1)) === "") return line.slice(0, at);
  }
  return line;
}

function problem(path: string, line: number, reason: string): SealError {
  return new SealError("usage", `${path}:${line}: ${reason}`);
}
