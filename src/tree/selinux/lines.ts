/**
 * The text files of a SELinux policy that say which path gets which label: `config`, `file_contexts` and its
 * companions. The format is that of selabel_file(5) and selinux_config(5) as composefs-rs reads it.
 */

import { latin1, utf8 } from "../../bytes.ts";
import { inputError } from "../../errors.ts";
import { excerpt } from "../../text.ts";

/** The type characters of a file_contexts line, as written after `-`. */
const FILE_TYPES = ["b", "c", "d", "p", "l", "s", "-"] as const;
export type FileType = (typeof FILE_TYPES)[number];

/** One line of file_contexts. */
export interface SpecLine {
  /** Its place, for messages. */
  readonly where: string;
  readonly pattern: string;
  /** null: any type. */
  readonly type: FileType | null;
  /** The label, or `<<none>>`. */
  readonly context: string;
}

/** White space of Unicode, which JavaScript's `\s` is not quite. */
const SPACE = "[\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
// biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII is the same in UTF-8 and latin1
const ASCII = /^[\x00-\x7f]*$/;
/** What nearly all lines of a policy are: pattern, type, label, and nothing but ASCII. */
const USUAL = /^([!-"$-~][!-~]*)[\t-\r ]+(?:-([bcdpls-])[\t-\r ]+)?([!-,.-~][!-~]*)[\t-\r ]*$/;
const SPACES = new RegExp(`${SPACE}+`);
const OUTER_SPACES = new RegExp(`^${SPACE}+|${SPACE}+$`, "g");

/**
 * The value of the first `SELINUXTYPE=`.
 * @returns null when there is none
 */
export function parseSelinuxType(bytes: Uint8Array, subject: string): string | null {
  for (const { text } of textLines(bytes, subject)) {
    const equals = text.indexOf("=");
    if (equals < 0) continue;
    const key = text.slice(0, equals).replace(OUTER_SPACES, "");
    if (/^selinuxtype$/i.test(key)) return text.slice(equals + 1).replace(OUTER_SPACES, "");
  }
  return null;
}

/**
 * @throws SealError `input` for a line with a missing or extra field or an unknown type, and for
 *   bytes that are not UTF-8
 */
export function parseSpecLines(bytes: Uint8Array, subject: string): SpecLine[] {
  const lines: SpecLine[] = [];
  for (const { text, number } of textLines(bytes, subject)) {
    const where = `${subject} line ${number}`;
    const usual = USUAL.exec(text);
    if (usual !== null) {
      lines.push({
        where,
        pattern: usual[1] ?? "",
        type: (usual[2] ?? null) as FileType | null,
        context: usual[3] ?? "",
      });
      continue;
    }
    const fields = fieldsOf(text);
    if (fields === null) continue;
    const [pattern, second, third] = fields as [string, string | undefined, string | undefined];
    if (second === undefined) throw inputError(where, `no label after "${excerpt(pattern)}"`);
    if (!second.startsWith("-")) {
      expectEnd(fields, 2, where);
      lines.push({ where, pattern, type: null, context: second });
      continue;
    }
    const type = FILE_TYPES.find((known) => known === second.slice(1));
    if (type === undefined)
      throw inputError(where, `unknown file type "${excerpt(second)}"; it is one of -b -c -d -p -l -s --`);
    if (third === undefined) throw inputError(where, `no label after "${excerpt(second)}"`);
    expectEnd(fields, 3, where);
    lines.push({ where, pattern, type, context: third });
  }
  return lines;
}

/** Adds the aliases of a `.subs` file: path to the path that it is an alias of. A later line wins. */
export function parseAliases(bytes: Uint8Array, subject: string, aliases: Map<string, string>): void {
  for (const { fields, where } of fieldLines(bytes, subject)) {
    const [alias, original] = fields as [string, string | undefined];
    if (original === undefined) throw inputError(where, `no original path after "${excerpt(alias)}"`);
    expectEnd(fields, 2, where);
    aliases.set(toLatin1(alias), toLatin1(original));
  }
}

/** The UTF-8 bytes of a text as characters: what paths are compared with. */
function toLatin1(text: string): string {
  return ASCII.test(text) ? text : latin1(utf8(text));
}

function expectEnd(fields: readonly string[], count: number, where: string): void {
  if (fields.length > count) throw inputError(where, `"${excerpt(fields[count] ?? "")}" is one field too many`);
}

/** The fields of lines that are neither empty nor comments. */
function* fieldLines(bytes: Uint8Array, subject: string): Generator<{ fields: string[]; where: string }> {
  for (const { text, number } of textLines(bytes, subject)) {
    const fields = fieldsOf(text);
    if (fields !== null) yield { fields, where: `${subject} line ${number}` };
  }
}

/** Null: the line is empty, or a comment. */
function fieldsOf(text: string): string[] | null {
  const fields = text.split(SPACES).filter((field) => field !== "");
  return fields.length === 0 || fields[0]?.startsWith("#") ? null : fields;
}

/** Lines without their end (`\n` or `\r\n`); bytes that are not UTF-8 count only when their line is reached. */
function* textLines(bytes: Uint8Array, subject: string): Generator<{ text: string; number: number }> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  // A call of the decoder for each line costs more than the line: nearly all are ASCII.
  const characters = latin1(bytes);
  const isAscii = ASCII.test(characters);
  let number = 0;
  for (let start = 0; start < bytes.length; ) {
    number++;
    const newline = bytes.indexOf(0x0a, start);
    let end = newline < 0 ? bytes.length : newline;
    const next = end + 1;
    if (newline >= 0 && end > start && bytes[end - 1] === 0x0d) end--;
    let text = characters.slice(start, end);
    if (!isAscii && !ASCII.test(text)) {
      try {
        text = decoder.decode(bytes.subarray(start, end));
      } catch (error) {
        throw inputError(`${subject} line ${number}`, "is not UTF-8", error);
      }
    }
    yield { text, number };
    start = next;
  }
}
