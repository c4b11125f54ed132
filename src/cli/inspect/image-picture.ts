/**
 * The picture of a container image for people. Everything that comes from it is escaped before it reaches a terminal.
 */
import type { ChalkInstance } from "chalk";
import { escapeControls } from "../../bytes.ts";
import { formatBytes, narrower, renderTable } from "../terminal/report.ts";
import type { InspectImageReport } from "./image-report.ts";

/** Characters of what made a layer: commands of builds are long. */
const COMMAND_LIMIT = 60;
/** Digits of a digest that is one of many. */
const SHORT_DIGEST = 19;

/** All lines, without a final newline. @param columns width of the terminal; null: there is none */
export function drawImage(image: InspectImageReport, paint: ChalkInstance, columns: number | null): string {
  const { config, layers } = image;
  const size = formatBytes(layers.reduce((sum, layer) => sum + layer.size, 0));
  const count = layers.length === 1 ? "1 layer" : `${layers.length} layers`;
  const title = ["container image", image.platform, `${size} in ${count}`, image.sealed ? "sealed" : "not sealed"];
  const facts = [
    ["digest", image.digest ?? "none: it has no manifest of its own"],
    ...(config.digest === null ? [] : [["config", config.digest]]),
    ...(config.created === null ? [] : [["created", config.created]]),
    ...(config.command.length === 0 ? [] : [["command", config.command.join(" ")]]),
  ];
  const indented = (rows: readonly (readonly string[])[]) => table(rows, narrower(columns, 2));
  const blocks = [
    [`${paint.bold(escapeControls(image.file))}  ${escapeControls(title.join(" · "))}`, ...table(facts, columns)],
    titled("platforms", indented(image.platforms.map(({ platform, digest }) => [platform, digest])), paint),
    titled("labels", indented(Object.entries(image.labels)), paint),
    titled("annotations", indented(Object.entries({ ...image.annotations, ...config.annotations })), paint),
    titled("layers", indented(layers.map(layerRow)), paint),
    titled(
      "boot",
      image.programs.flatMap((program) => drawProgram(program, paint, narrower(columns, 2))),
      paint,
    ),
  ];
  return blocks
    .filter((block) => block.length > 0)
    .map((block) => block.join("\n"))
    .join("\n\n");
}

function layerRow({ digest, diffId, size, createdBy }: InspectImageReport["layers"][number], index: number): string[] {
  const command = createdBy ?? "";
  const shown = command.length > COMMAND_LIMIT ? `${command.slice(0, COMMAND_LIMIT - 1)}…` : command;
  return [String(index + 1), `${(digest ?? diffId ?? "?").slice(0, SHORT_DIGEST)}…`, formatBytes(size), shown];
}

function drawProgram(
  { path, role, problem, program }: InspectImageReport["programs"][number],
  paint: ChalkInstance,
  columns: number | null,
): string[] {
  if (program === null) return [`${escapeControls(path)}  ${paint.red(escapeControls(problem ?? ""))}`];
  const kernel = program.kver === null ? [] : [`kernel ${program.kver}`];
  const what = [role === "uki" ? "UKI" : role, program.arch ?? "?", formatBytes(program.size), ...kernel].join(" · ");
  const rows = [
    ...program.composefs.digests.map(({ form, digest }) => [form, digest]),
    ...program.signatures.map(({ subject, intact, reason }) => [
      "signed by",
      `${subject || "an unknown signer"}  ${intact ? "intact" : `not valid: ${reason ?? "unreadable"}`}`,
    ]),
    ...(program.signatures.length === 0 ? [["signed by", "nobody"]] : []),
  ];
  return [escapeControls(`${path}  ${what}`), ...table(rows, narrower(columns, 2)).map((line) => `  ${line}`)];
}

function titled(title: string, lines: readonly string[], paint: ChalkInstance): string[] {
  return lines.length === 0 ? [] : [paint.bold(title), ...lines.map((line) => `  ${line}`)];
}

function table(rows: readonly (readonly string[])[], columns: number | null): string[] {
  const escaped = rows.map((row) => row.map(escapeControls));
  return rows.length === 0 ? [] : renderTable(escaped, columns).split("\n");
}
