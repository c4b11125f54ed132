/** White space as Python sees it (`str.split`, `str.strip`), as ukify uses it. */

const BLANK = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const BLANKS = new RegExp(`${BLANK}+`, "g");
const ENDS = new RegExp(`^${BLANK}+|${BLANK}+$`, "g");

/** The words between blanks. */
export function splitBlanks(text: string): string[] {
  return text.split(BLANKS).filter((word) => word !== "");
}

/** The text without blanks at its ends. */
export function trimBlanks(text: string): string {
  return text.replace(ENDS, "");
}

/** Index of the first character that is not a blank; the length of a text that has none. */
export function indentOf(text: string): number {
  return text.length - text.replace(new RegExp(`^${BLANK}+`), "").length;
}
