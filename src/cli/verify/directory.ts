/** `seal verify DIR`: would firmware start what is in a `/boot` or on an EFI system partition? */
import { z } from "zod";
import { escapeControls } from "../../bytes.ts";
import { EFI_ARCHES } from "../../pe/arch.ts";
import { type BootVerdict, type ProgramOutcome, verifyBoot } from "../../seal/verify-boot.ts";
import { type Context, printJson, printLine } from "../context.ts";
import { renderIndented } from "../terminal/report.ts";
import type { Judge } from "./judge.ts";

const MARKS: Readonly<Record<ProgramOutcome | "not covered", string>> = {
  accepted: "✓",
  refused: "✗",
  "not started": "–",
  "not covered": "–",
};

/** What `--json` prints of a directory. */
export const verifyDirectoryReportSchema = z.strictObject({
  directory: z.string(),
  /** Whether something in it is accepted, and nothing refused. */
  valid: z.boolean(),
  /** What was judged by: files, or the directory of the firmware's variables. */
  judgedBy: z.string(),
  /**
   * Whether that firmware enforces signatures; null: what was given does not say. Verdicts are those of one that does.
   */
  secureBoot: z.enum(["on", "off", "setup mode"]).nullable(),
  programs: z.array(
    z.strictObject({
      path: z.string(),
      what: z.string(),
      arch: z.enum(EFI_ARCHES).nullable(),
      /** `not started`: this firmware has nothing to do with it. */
      outcome: z.enum(["accepted", "refused", "not started"]),
      /** By what it is accepted, or why not. */
      reason: z.string(),
    }),
  ),
  /** What no signature covers though it decides what runs. */
  notCovered: z.array(z.strictObject({ path: z.string(), what: z.string() })),
});

/** @returns whether firmware starts all of it that is for it */
export async function verifyDirectory(
  context: Context,
  directory: string,
  { machine, name, secureBoot }: Judge,
  { json, onProgress }: { readonly json: boolean; readonly onProgress: (detail: string) => void },
): Promise<boolean> {
  const verdict = await verifyBoot(directory, machine, context.process, (path, index, count) =>
    onProgress(`${index + 1} of ${count}  ${path}`),
  );
  for (const note of verdict.programs.flatMap(({ notes }) => notes)) context.ui.warn(note);
  if (secureBoot === "off") context.ui.warn(`${name}: Secure Boot is off, and this firmware starts anything`);
  if (secureBoot === "setup mode") {
    context.ui.warn(`${name}: setup mode, without a platform key: this firmware starts anything`);
  }
  const { valid, programs, uncovered } = verdict;
  if (json) {
    printJson(
      context,
      verifyDirectoryReportSchema.parse({
        directory,
        valid,
        judgedBy: name,
        secureBoot,
        programs: programs.map(({ notes: _, ...program }) => program),
        notCovered: uncovered,
      }),
    );
  } else printLine(context, toText(context, directory, name, verdict));
  return valid;
}

function toText(context: Context, directory: string, name: string, verdict: BootVerdict): string {
  const { out } = context.ui;
  const colours = { accepted: out.green, refused: out.red, "not started": out.dim, "not covered": out.dim };
  const rows = [
    ...verdict.programs.map(({ path, what, arch, outcome, reason }) => ({
      outcome,
      cells: [path, what, arch ?? "", outcome, reason],
    })),
    ...verdict.uncovered.map(({ path, what }) => ({
      outcome: "not covered" as const,
      cells: [path, "", "", "not covered", `by any signature: ${what}`],
    })),
  ];
  const head = verdict.valid ? out.green(MARKS.accepted) : out.red(MARKS.refused);
  const table = renderIndented(
    rows.map(({ outcome, cells: [path = "", ...cells] }) =>
      [`${MARKS[outcome]} ${path}`, ...cells].map(escapeControls),
    ),
    context.process.stdout.columns,
    (cell, row, column) => {
      const colour = colours[rows[row]?.outcome ?? "refused"];
      return column === 0 ? colour(cell.slice(0, 1)) + cell.slice(1) : cell;
    },
  );
  return [`${head} ${directory}  ${summary(verdict)}; judged by ${name}`, ...(rows.length === 0 ? [] : [table])].join(
    "\n",
  );
}

function summary({ programs }: BootVerdict): string {
  const count = (outcome: ProgramOutcome) => programs.filter((one) => one.outcome === outcome).length;
  return (["accepted", "refused", "not started"] as const)
    .flatMap((outcome) => (count(outcome) === 0 ? [] : [`${count(outcome)} ${outcome}`]))
    .join(", ");
}
