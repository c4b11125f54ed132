/**
 * The part of the pattern syntax that nearly all lines of a policy keep to, seen with regular expressions instead of
 * the parser: literals, `.`, simple brackets, groups in groups, but no deeper, and `*`, `+`, `?`. A policy has thousands
 * of lines, and only a few hundred are ever compared with a path, so the others need not be parsed.
 *
 * In this part Rust's syntax and PCRE2 agree, and nothing in it can be wrong or large.
 */

/** A literal character, or escaped punctuation. */
const LITERAL = "(?:[\\w\\-/:,@%=~!&;<>'\"`#]|\\\\[!-/:;=?@[-`{-~])";
const RANGE = "(?:[0-9]-[0-9]|[a-z]-[a-z]|[A-Z]-[A-Z])";
const BRACKET = `\\[\\^?(?:${RANGE}|[\\w/.])+-?\\]`;
const PIECE = `(?:${LITERAL}|\\.|${BRACKET})[*+?]?`;
const groupOf = (part: string) => `\\((?:${part})+(?:\\|(?:${part})+)*\\)[*+?]?`;
const GROUP = groupOf(`${PIECE}|${groupOf(PIECE)}`);

const BRACKETS = new RegExp(BRACKET, "g");
const RANGES = /(\w)-(\w)/g;
const COMMON = new RegExp(`^(?:${PIECE}|${GROUP})*$`);
/** Keeps the program of a pattern well below what is too large. */
const COMMON_MAX = 1000;

/** Only literals, and perhaps a suffix that matches everything below, or everything that begins so. */
const PLAIN = new RegExp(`^(${LITERAL}*)(\\(/\\.\\*\\)\\?|\\.\\*)?$`);
const PREFIX = new RegExp(`^(?:${LITERAL}(?![*+?]))*`);
/** Captures a literal that is not repeated. */
const TOKEN = new RegExp(`(${LITERAL})(?![*+?])|${PIECE}|${GROUP}`, "g");

/** A pattern that needs no matching. */
export interface PlainPattern {
  /** Takes this very path; null: none. */
  readonly exact: string | null;
  /** Takes all paths that begin with this; null: none. */
  readonly prefix: string | null;
}

/** What a pattern takes, if it is `path`, `path(/.*)?` or `path.*` with literals only; null for others. */
export function plainPattern(pattern: string): PlainPattern | null {
  const plain = PLAIN.exec(pattern);
  if (plain === null) return null;
  const path = withoutEscapes(plain[1] as string);
  switch (plain[2]) {
    case undefined:
      return { exact: path, prefix: null };
    case ".*":
      return { exact: null, prefix: path };
    default:
      return { exact: path, prefix: `${path}/` };
  }
}

/**
 * Whether a pattern keeps to the common part, so that it is valid and {@link commonPrefix} and
 * {@link commonLiteral} hold.
 */
export function isCommon(pattern: string): boolean {
  return pattern.length <= COMMON_MAX && COMMON.test(pattern) && hasRightRanges(pattern);
}

/** Whether no range in a bracket ends before it begins, which is an error. */
function hasRightRanges(pattern: string): boolean {
  if (!pattern.includes("[")) return true;
  for (const [bracket] of pattern.matchAll(BRACKETS)) {
    for (const [, first = "", last = ""] of bracket.matchAll(RANGES)) if (first > last) return false;
  }
  return true;
}

/** What every path that matches a common pattern starts with. */
export function commonPrefix(pattern: string): string {
  return withoutEscapes(PREFIX.exec(pattern)?.[0] ?? "");
}

/**
 * A long text that occurs in every path that matches a common pattern.
 * @param known what is known to stand there already
 * @returns empty when there is none
 */
export function commonLiteral(pattern: string, known: string): string {
  let longest = "";
  let run = "";
  for (const [, literal] of pattern.matchAll(TOKEN)) {
    run = literal === undefined ? "" : run + withoutEscapes(literal);
    if (run.length > longest.length && !known.includes(run)) longest = run;
  }
  return longest;
}

function withoutEscapes(literals: string): string {
  if (!literals.includes("\\")) return literals;
  return literals.includes("\\\\") ? literals.replace(/\\(.)/g, "$1") : literals.replaceAll("\\", "");
}
