/**
 * Aligned output for people: the report of a chain, tables, quantities. Colour only marks what the words already say.
 */
import type { ChalkInstance } from "chalk";
import { escapeControls } from "../../bytes.ts";
import { breakWords } from "../../text.ts";
import { displayWidth } from "./width.ts";

/**
 * A line of a chain's report. `warning` says what happens if it is ignored, `failed` is where it ended;
 * `info` belongs to no step.
 */
export interface ReportRow {
  readonly mark: "done" | "warning" | "failed" | "info";
  readonly label: string;
  /** First line next to the label, the others below it; lines that are too long are broken. */
  readonly text: readonly string[];
  /** How long it took, for steps that take time. */
  readonly seconds?: number;
}

const LABEL_WIDTH = 18;
/** Mark and label, in front of each line's text. */
const HEAD_WIDTH = 3 + LABEL_WIDTH;
/** Column of durations, if the terminal is wide enough. */
const TEXT_WIDTH = 66;
/** Width of a report that goes to no terminal. */
const LOG_COLUMNS = 113;
/** On narrower terminals the column would have single words: the text goes below the labels. */
const NARROW = 55;
const NARROW_INDENT = 3;

/**
 * Rows as aligned lines, without a final newline. What comes from files can't start lines or talk to the terminal.
 * @param columns width of the terminal; null: there is none
 */
export function renderReport(rows: readonly ReportRow[], paint: ChalkInstance, columns: number | null): string {
  const marks = { done: paint.green("✓"), warning: paint.yellow("!"), failed: paint.red("✗"), info: " " };
  const isNarrow = columns !== null && columns < NARROW;
  const width = (columns ?? LOG_COLUMNS) - (isNarrow ? NARROW_INDENT : HEAD_WIDTH);
  return rows
    .flatMap(({ mark, label, text, seconds }) => {
      const time = seconds === undefined ? "" : formatSeconds(seconds);
      if (isNarrow) {
        const lines = text.flatMap((line) => brokenLine(escapeControls(line), Math.max(width, 1)));
        const head = ` ${marks[mark]} ${label}${time === "" ? "" : `  ${paint.dim(time)}`}`;
        return [head.trimEnd(), ...lines.map((line) => " ".repeat(NARROW_INDENT) + line)];
      }
      // The time follows the first line.
      const room = time === "" ? width : width - time.length - 2;
      return text
        .flatMap((line, index) => brokenLine(escapeControls(line), index === 0 ? room : width))
        .map((line, index) => {
          if (index > 0) return `${" ".repeat(HEAD_WIDTH)}${line}`;
          const gap = " ".repeat(Math.max(2, Math.min(TEXT_WIDTH, room + 2) - line.length));
          return ` ${marks[mark]} ${label.padEnd(LABEL_WIDTH)}${line}${time === "" ? "" : paint.dim(`${gap}${time}`)}`;
        });
    })
    .join("\n");
}

/**
 * A line as it is where it fits, else broken between words; what is no longer a word by then is cut into equal parts.
 */
function brokenLine(line: string, width: number): string[] {
  if (line.length <= width) return [line];
  const words = line.split(" ").flatMap((word) => {
    const parts = Math.ceil(word.length / width);
    const length = Math.ceil(word.length / parts);
    return Array.from({ length: parts }, (_, index) => word.slice(index * length, (index + 1) * length));
  });
  return breakWords(words, width);
}

/** Colours a cell, which has its blanks by then. */
type PaintCell = (cell: string, row: number, column: number) => string;

const COLUMN_GAP = "  ";
/** In less room the last column would have one word a line. */
const LAST_COLUMN = 20;
const BELOW_ROW = "    ";

/**
 * Cells in columns as wide as their widest cell, two blanks between; the last column is not padded.
 * @param columns width that there is; null: any. Where a table is wider, its last column is broken between words, or
 *   the whole row if the other columns leave little room
 */
export function renderTable(
  rows: readonly (readonly string[])[],
  columns: number | null,
  paint: PaintCell = (cell) => cell,
): string {
  const widths: number[] = [];
  for (const row of rows)
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, displayWidth(cell));
  const start = widths.slice(0, -1).reduce((sum, width) => sum + width + COLUMN_GAP.length, 0);
  const room = (columns ?? Number.POSITIVE_INFINITY) - start;
  const isTooWide = room < (widths.at(-1) ?? 0);
  return rows
    .map((row, rowIndex) => {
      // Blanks at the end of a line would only be copied along.
      const last = row.findLastIndex((cell) => cell !== "");
      const cells = row.slice(0, last + 1);
      if (isTooWide && room < LAST_COLUMN) return brokenRow(cells, columns ?? 0, (cell) => paint(cell, rowIndex, 0));
      const [first = "", ...more] =
        isTooWide && last === widths.length - 1
          ? breakWords((cells[last] ?? "").split(" "), room)
          : [cells[last] ?? ""];
      const line = [...cells.slice(0, -1), first]
        .map((cell, index) => {
          const padding = index === last ? 0 : (widths[index] ?? 0) - displayWidth(cell);
          return paint(cell + " ".repeat(padding), rowIndex, index);
        })
        .join(COLUMN_GAP);
      return [line, ...more.map((text) => " ".repeat(start) + paint(text, rowIndex, last))].join("\n");
    })
    .join("\n");
}

/** A table below a heading: each line set in by two blanks. @param columns as for {@link renderTable} */
export function renderIndented(
  rows: readonly (readonly string[])[],
  columns: number | null,
  paint?: PaintCell,
): string {
  return renderTable(rows, narrower(columns, 2), paint).replace(/^(?=.)/gm, "  ");
}

/** What an indentation leaves of a width; null stays: any width. */
export function narrower(columns: number | null, indentation: number): number | null {
  return columns === null ? null : Math.max(columns - indentation, 1);
}

/** A row without columns. @param paint of its first cell */
function brokenRow(
  [head = "", ...others]: readonly string[],
  columns: number,
  paint: (cell: string) => string,
): string {
  const line = [head, ...others.filter((cell) => cell !== "")].join(COLUMN_GAP);
  const [first = "", ...more] = breakWords(line.split(" "), columns - BELOW_ROW.length).map((text) => text.trim());
  // A long first cell is broken too.
  return [paint(first.slice(0, head.length)) + first.slice(head.length), ...more.map((text) => BELOW_ROW + text)].join(
    "\n",
  );
}

/** `44.6 MB`, in powers of ten. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return unit === 0 ? `${bytes} B` : `${value.toFixed(1)} ${units[unit]}`;
}

/** `14,314`. */
export function formatCount(count: number): string {
  // The first toLocaleString of a process takes more than ten milliseconds.
  return String(count).replace(/(?<=\d)(?=(?:\d{3})+$)/g, ",");
}

export function formatSeconds(seconds: number): string {
  return `${seconds.toFixed(1)} s`;
}
