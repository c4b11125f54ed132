/** Aligned output for people: the report of a chain, tables, quantities. Colour only marks what the words already say. */
import type { ChalkInstance } from "chalk";

/** A line of a chain's report. `warning` says what happens if it is ignored, `failed` is where it ended; `info` belongs to no step. */
export interface ReportRow {
  readonly mark: "done" | "warning" | "failed" | "info";
  readonly label: string;
  /** First line beside the label, the others below it. */
  readonly text: readonly string[];
  /** How long it took, for steps that take time. */
  readonly seconds?: number;
}

const LABEL_WIDTH = 18;
const TEXT_WIDTH = 66;

/** Rows as aligned lines, without a final newline. */
export function renderReport(rows: readonly ReportRow[], paint: ChalkInstance): string {
  const marks = { done: paint.green("✓"), warning: paint.yellow("!"), failed: paint.red("✗"), info: " " };
  return rows
    .flatMap(({ mark, label, text, seconds }) =>
      text.map((line, index) => {
        const head = index === 0 ? ` ${marks[mark]} ${label.padEnd(LABEL_WIDTH)}` : " ".repeat(3 + LABEL_WIDTH);
        const time =
          index === 0 && seconds !== undefined
            ? paint.dim(`${" ".repeat(Math.max(2, TEXT_WIDTH - line.length))}${formatSeconds(seconds)}`)
            : "";
        return `${head}${line}${time}`;
      }),
    )
    .join("\n");
}

/** Cells in columns as wide as their widest cell, two blanks between; the last column is not padded. */
export function renderTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows)
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length);
  return rows
    .map((row) =>
      row
        .map((cell, index) => (index === row.length - 1 ? cell : cell.padEnd(widths[index] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
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
