/** `seal lint [ROOTFS]`: checks a root filesystem before and after sealing. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import { useLibzstd } from "../../io/libzstd.ts";
import { isDirectory } from "../../io/paths.ts";
import type { RootfsSource } from "../../io/rootfs-source.ts";
import { rulesToJson, toJson } from "../../lint/report-json.ts";
import { toJunit } from "../../lint/report-junit.ts";
import { type SarifReport, toSarifRuns } from "../../lint/report-sarif.ts";
import { type Painter, toText } from "../../lint/report-text.ts";
import type { Rule } from "../../lint/rule.ts";
import { RULES } from "../../lint/rules/index.ts";
import { countFindings, type LintReport, runRules, selectRules } from "../../lint/run.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import type { Page } from "../html/parts.ts";
import { checkPage, writePage } from "../options/html.ts";
import { platformsOf } from "../platforms.ts";
import { renderTable } from "../terminal/report.ts";
import { version } from "../version.ts";
import { type LintValues, lintArguments, lintOptions } from "./options.ts";
import { lintReportSchema, lintsReportSchema, ruleListReportSchema } from "./schema.ts";
import { openTarget } from "./target.ts";

export const lintCommand = defineCommand({
  examples: [
    ["/target", "checks a root filesystem; which rules apply depends on whether it is sealed"],
    ["/target --cert db.crt --fatal-warnings", "also checks the signer; warnings fail too"],
    ["/target --format sarif", "for code scanning in CI"],
    ["/target --format junit > lint.xml", "for CI systems that show test results"],
    ["oci:image:latest", "an image, including what only its layers show: hidden files, keys, its label"],
    [
      "oci:next --after oci:image --db db.esl",
      "does oci:next boot on machines that run oci:image, and can they roll back?",
    ],
    ["oci:sealed --all-platforms --cert db.crt", "the images of all platforms of an index"],
    ["--list", "lists all rules"],
  ],
  arguments: lintArguments,
  options: lintOptions,
  run: lint,
});

async function lint(context: Context, options: LintValues): Promise<0 | 1> {
  useLibzstd();
  const format = options.json ? "json" : options.format;
  if (options.list) {
    if (format === "text") printLine(context, ruleTable(context.process.stdout.columns));
    else printJson(context, ruleListReportSchema.parse(rulesToJson(RULES)));
    return 0;
  }
  const rules = selectRules(RULES, options.skip);
  await checkPage(context, options);
  warnOfOutput(context, options.rootfs);
  const reports = options.allPlatforms
    ? await lintPlatforms(context, options, rules)
    : [{ report: await runRules(rules, await openTarget(context, options)) }];
  const [only] = options.allPlatforms ? [] : reports;
  await writePage(context, options, () => pagesOf(options, reports));
  switch (format) {
    case "text":
      for (const { name, report } of reports) {
        if (name !== undefined) printLine(context, context.ui.out.bold(name));
        printLine(context, toText(report, painter(context), context.process.stdout.columns));
      }
      break;
    case "json":
      printJson(
        context,
        only === undefined
          ? lintsReportSchema.parse(platformsJson(reports))
          : lintReportSchema.parse(toJson(only.report)),
      );
      break;
    case "junit":
      printLine(context, toJunit(reports, options.fatalWarnings));
      break;
    case "sarif":
      printJson(context, toSarifRuns(reports, rules, version()));
      break;
  }
  return reports.some(({ report }) => failed(report, options.fatalWarnings)) ? 1 : 0;
}

/** What `seal rootfs` wrote has a /boot, and lacks all else: its findings would lead nowhere. */
function warnOfOutput(context: Context, source: RootfsSource): void {
  if (source.kind !== "dir") return;
  const path = userPath(context, source.path);
  if (!existsSync(join(path, "report.json")) || !isDirectory(join(path, "boot"))) return;
  if (isDirectory(join(path, "usr"))) return;
  context.ui.warn(
    `${source.subject} is the output of seal rootfs, not a root filesystem: lint the root filesystem, with this boot as its /boot; seal verify ${join(source.path, "boot")} checks signatures only`,
  );
}

/** One after the other: what is read of an image is gone when the next one is read. */
async function lintPlatforms(context: Context, options: LintValues, rules: readonly Rule[]): Promise<SarifReport[]> {
  const reports: SarifReport[] = [];
  for (const { name, source } of await platformsOf(context, options, options.rootfs)) {
    const target = await openTarget(context, { ...options, rootfs: source, platform: name });
    reports.push({ name, report: await runRules(rules, target) });
  }
  return reports;
}

/** @param reports at least one */
async function pagesOf(options: LintValues, reports: readonly SarifReport[]): Promise<readonly [Page, ...Page[]]> {
  const { lintPage } = await import("../html/lint.ts");
  const [first, ...others] = reports.map(({ name, report }) =>
    lintPage(
      [options.rootfs.subject, ...(name === undefined ? [] : [name])].join(" "),
      lintReportSchema.parse(toJson(report)),
    ),
  );
  if (first === undefined) throw new Error("nothing was linted");
  return [first, ...others];
}

function platformsJson(reports: readonly SarifReport[]): z.input<typeof lintsReportSchema> {
  return {
    images: reports.map(({ name = "", report }) => ({ platform: name, ...lintReportSchema.parse(toJson(report)) })),
  };
}

function failed(report: LintReport, fatalWarnings: boolean): boolean {
  return countFindings(report, "error") > 0 || (fatalWarnings && countFindings(report, "warning") > 0);
}

function ruleTable(columns: number | null): string {
  const when = { unsealed: "before sealing", sealed: "sealed", any: "both", image: "image", after: "--after" };
  const rules = RULES.map(({ id, severity, applies, finds }) => [id, severity, when[applies], finds]);
  return renderTable([["RULE", "SEVERITY", "APPLIES", "FINDS"], ...rules], columns);
}

function painter({ ui: { out } }: Context): Painter {
  return {
    error: (text) => out.red(text),
    warning: (text) => out.yellow(text),
    info: (text) => out.cyan(text),
    dim: (text) => out.dim(text),
    bold: (text) => out.bold(text),
    good: (text) => out.green(text),
  };
}
