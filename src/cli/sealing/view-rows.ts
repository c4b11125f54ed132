/** What of a mount the layers made of it may not have: for programs and for people. */
import { z } from "zod";
import { VIEW_NOTE_KINDS, type ViewNote } from "../../seal/view-notes.ts";
import { formatCount, type ReportRow } from "../terminal/report.ts";

/** A note as `--json` has it. */
export const viewNoteSchema = z.object({
  kind: z.enum(VIEW_NOTE_KINDS),
  severity: z.enum(["warning", "info"]),
  count: z.int(),
  /** The first five. */
  paths: z.array(z.string()).readonly(),
  message: z.string(),
});

/** Labels of what a mount shows and layers may not have. */
const VIEW_LABELS: Readonly<Record<ViewNote["kind"], string>> = {
  "subsecond-times": "sub-second times",
  "base-times": "times of the base",
  "directory-times": "directory times",
  "touched-directories": "touched times",
  "builder-files": "builder's files",
  "mounted-files": "mounted files",
  "rewritten-times": "rewritten times",
};

/** A note as a row of a report. */
export function viewRow({ kind, severity, count, paths, message }: ViewNote): ReportRow {
  const shown = paths.slice(0, PATHS_SHOWN).join(", ");
  const more = count > PATHS_SHOWN ? ` and ${formatCount(count - PATHS_SHOWN)} more` : "";
  const verb = count === 1 ? singular(message) : message;
  const subject = count === 1 ? "1 path" : `${formatCount(count)} paths`;
  const mark = severity === "warning" ? "warning" : "info";
  return {
    mark,
    label: VIEW_LABELS[kind],
    text: [`${subject} ${verb}. ${shown}${more} (see docs/two-views.md)`],
  };
}

/** How many paths of a note are printed; `--json` has five. */
const PATHS_SHOWN = 3;

function singular(message: string): string {
  return message.replace(/^(?:have|are|were)(?= )/, (verb) => SINGULAR[verb] ?? verb);
}

const SINGULAR: Readonly<Record<string, string>> = { have: "has", are: "is", were: "was" };
