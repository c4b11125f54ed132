/**
 * How many columns of a terminal a text takes: East Asian characters and pictures take two, marks on
 * others none (UAX 11).
 */
import { eastAsianWidth } from "get-east-asian-width";

const MARK = /\p{M}/u;

/** Columns of a text without control characters. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const char of text) width += charWidth(char);
  return width;
}

/** As much of a text as fits into so many columns. */
export function fitting(text: string, columns: number): string {
  let width = 0;
  let end = 0;
  for (const char of text) {
    width += charWidth(char);
    if (width > columns) break;
    end += char.length;
  }
  return text.slice(0, end);
}

function charWidth(char: string): number {
  // Nearly all are ASCII.
  if (char < "\u0300") return 1;
  return MARK.test(char) ? 0 : eastAsianWidth(char.codePointAt(0) ?? 0);
}
