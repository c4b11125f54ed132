/**
 * `seal doctor [FOR…]`: what of the programs and kernel features that verbs use is there, and how to
 * install what is not.
 */
import { z } from "zod";
import { type OsRelease, parseOsRelease } from "../../boot/os-release.ts";
import { FAMILIES, type Family, familyOf, installCommand } from "../../io/packages.ts";
import { readInput, SMALL_FILE } from "../../io/read-input.ts";
import { breakWords } from "../../text.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine } from "../context.ts";
import { optionGroup } from "../options/group.ts";
import { choice, flag } from "../options/option.ts";
import { renderTable } from "../terminal/report.ts";
import { type DoctorCheck, PURPOSE_WORDS, PURPOSES, runChecks } from "./checks.ts";

/** What `seal doctor --json` prints. Its shape is stable within a major version. */
export const doctorReportSchema = z.strictObject({
  system: z.strictObject({ name: z.string().nullable(), family: z.enum(FAMILIES).nullable() }),
  node: z.string(),
  checks: z.array(
    z.strictObject({
      name: z.string(),
      for: z.enum(PURPOSES),
      state: z.enum(["there", "missing", "unknown"]),
      found: z.string().nullable(),
      package: z.string().nullable(),
      advice: z.string().nullable(),
    }),
  ),
  /** What installs all that is missing. */
  install: z.array(z.string()),
});

type DoctorReport = z.infer<typeof doctorReportSchema>;

export const doctorCommand = defineCommand({
  examples: [
    ["", "what is installed, and how to install what is missing"],
    ["boot-test boot-test-image", "exits with 1 if something is missing for these"],
    ["--json", "the same as JSON, for scripts"],
  ],
  arguments: {
    purpose: choice(PURPOSES, {
      many: true,
      help: `what must work: ${PURPOSES.map((one) => `${one} (${PURPOSE_WORDS[one]})`).join(", ")}`,
      shownDefault: "show everything, require nothing",
    }),
  },
  options: optionGroup(null, { json: flag({ help: "print the result as JSON" }) }),
  run: async (context, { purpose: wanted, json }) => {
    const checks = (await runChecks(context.process)).filter(
      ({ purpose }) => wanted.length === 0 || wanted.includes(purpose),
    );
    const report = doctorReport(checks, await readSystem());
    if (json) printJson(context, doctorReportSchema.parse(report));
    else printLine(context, toText(context, report));
    return wanted.length > 0 && checks.some(({ state }) => state === "missing") ? 1 : 0;
  },
});

async function readSystem(): Promise<OsRelease> {
  for (const path of ["/etc/os-release", "/usr/lib/os-release"]) {
    const bytes = await readInput(path, SMALL_FILE).catch(() => null);
    if (bytes !== null) return parseOsRelease(bytes);
  }
  return new Map();
}

/** @param system its os-release */
export function doctorReport(checks: readonly DoctorCheck[], system: OsRelease): DoctorReport {
  const family = familyOf(system);
  const missing = checks.filter(({ state }) => state === "missing");
  return {
    system: { name: system.get("PRETTY_NAME") ?? system.get("ID") ?? null, family },
    node: process.version,
    checks: checks.map(({ name, purpose, state, found, packages, advice }) => ({
      name,
      for: purpose,
      state,
      found,
      package: family === null ? null : (packages?.[family] ?? null),
      advice,
    })),
    install: [
      ...installed(missing, family),
      ...missing.flatMap(({ advice }) => (advice?.startsWith("cargo ") ? [advice] : [])),
    ],
  };
}

function installed(missing: readonly DoctorCheck[], family: Family | null): string[] {
  if (family === null) return [];
  const packages = missing.flatMap(({ packages: names }) => names?.[family] ?? []);
  return packages.length === 0 ? [] : [installCommand(family, packages)];
}

const COMMAND_INDENT = "  ";
/** So that a command of several lines can be copied. */
const CONTINUED = " \\";

function toText(
  { ui: { out }, process: { stdout } }: Context,
  { system, node, checks, install }: DoctorReport,
): string {
  const marks = { there: "✓", missing: "✗", unknown: "?" };
  const colours = { there: out.green, missing: out.red, unknown: out.yellow };
  const rows = checks.map(({ name, for: purpose, state, found, advice }) => {
    const what = found ?? (state === "missing" ? (advice ?? "is not there") : (advice ?? "can't be determined here"));
    return [marks[state], name, PURPOSE_WORDS[purpose], what];
  });
  const paint = (cell: string, row: number, column: number) => {
    const { state = "unknown" } = checks[row] ?? {};
    return column === 0 ? colours[state](cell) : cell;
  };
  const head = `Node ${node} on ${system.name ?? "a system without os-release"}`;
  const width = (stdout.columns ?? Number.POSITIVE_INFINITY) - 2 * COMMAND_INDENT.length - CONTINUED.length;
  const way = install.map(
    (command) =>
      COMMAND_INDENT + breakWords(command.split(" "), width).join(`${CONTINUED}\n${COMMAND_INDENT.repeat(2)}`),
  );
  return [
    ...breakWords(head.split(" "), stdout.columns ?? head.length),
    renderTable(rows, stdout.columns, paint),
    ...(way.length === 0 ? [] : ["To install what is missing:", ...way]),
  ].join("\n");
}
