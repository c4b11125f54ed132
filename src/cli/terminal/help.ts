/**
 * Help pages that break lines between words at any width: commander leaves that to the terminal where
 * little room is left.
 */
import type { Help, HelpConfiguration } from "commander";
import { breakWords } from "../../text.ts";

/** In front of all items, and between a term and what is said of it. */
const GAP = 2;
/** Less than that next to a term would be a column of single words. */
const MIN_TEXT = 40;
/** Longer terms get their own line. */
const SHORT_TERM = 24;
/** Below a term on its own line. */
const BELOW = 6;

export const HELP: HelpConfiguration = { sortSubcommands: false, showGlobalOptions: true, formatItem };

/** An option, argument or verb with what is said of it. @param termWidth of the widest term of the page */
function formatItem(term: string, termWidth: number, description: string, { helpWidth = 80 }: Help): string {
  const head = " ".repeat(GAP) + term;
  if (description === "") return head;
  const room = helpWidth - 2 * GAP;
  const column = room - termWidth >= MIN_TEXT ? termWidth : room - SHORT_TERM >= MIN_TEXT ? SHORT_TERM : null;
  const indent = " ".repeat(column === null ? BELOW : column + 2 * GAP);
  const text = wrapped(description, helpWidth, indent);
  const isBeside = column !== null && term.length <= column;
  return isBeside ? head.padEnd(indent.length) + text.slice(indent.length) : `${head}\n${text}`;
}

/** Text in lines of at most so many columns, each indented. */
export function wrapped(text: string, columns: number, indent: string): string {
  return breakWords(text.split(" "), columns - indent.length)
    .map((line) => indent + line)
    .join("\n");
}
