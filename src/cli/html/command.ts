/**
 * `seal report [ROOTFS]`: all that there is to say of an image, a root filesystem or what
 * `seal rootfs` wrote, in one page.
 */
import { access } from "node:fs/promises";
import { join } from "node:path";
import { inputError } from "../../errors.ts";
import { readInput, SMALL_FILE, withInput } from "../../io/read-input.ts";
import { isRead } from "../../lint/boot-programs.ts";
import { toJson } from "../../lint/report-json.ts";
import { RULES } from "../../lint/rules/index.ts";
import { runRules, selectRules } from "../../lint/run.ts";
import { parsePe } from "../../pe/headers.ts";
import { decodeText } from "../../text.ts";
import { advice } from "../boot-test/advice.ts";
import { bootTestReportSchema } from "../boot-test/schema.ts";
import { defineCommand } from "../command.ts";
import { type Context, printLine, userPath } from "../context.ts";
import { diffReportSchema } from "../digest/diff-schema.ts";
import { describePe } from "../inspect/pe-report.ts";
import { lintArguments, lintOptions } from "../lint/options.ts";
import { lintReportSchema } from "../lint/schema.ts";
import { openTarget } from "../lint/target.ts";
import { optionGroup, type VerbValues } from "../options/group.ts";
import { writePage } from "../options/html.ts";
import { path } from "../options/option.ts";
import { writes } from "../options/risk.ts";
import { imageReportSchema } from "../sealing/image-report.ts";
import { sealReportSchema } from "../sealing/report.ts";
import { bootPage } from "./boot.ts";
import { differencesPage } from "./differences.ts";
import { lintPage } from "./lint.ts";
import type { Page } from "./parts.ts";
import { bootPathPage, programPage } from "./program.ts";
import { sealedPage } from "./sealed.ts";

const REPORT_ARGUMENTS = {
  ...lintArguments,
  reports: path({
    many: true,
    help: "further reports, the --json output of boot-test, lint, diff, rootfs or image",
  }),
};
const REPORT_OPTIONS = lintOptions.without("list", "format", "json", "fatalWarnings", "allPlatforms", "html").and(
  optionGroup("Output", {
    html: path({
      risk: writes,
      dash: "stdout",
      required: "give the page to write",
      help: "the page, for a browser; - writes it to standard output",
    }),
  }),
);
type Options = VerbValues<typeof REPORT_ARGUMENTS, typeof REPORT_OPTIONS>;

export const reportCommand = defineCommand({
  examples: [
    [
      "oci:sealed --cert db.crt --html sealed.html",
      "an image: lint findings, each program of its /boot, which hosts accept it",
    ],
    ["out --html sealed.html", "the output of seal rootfs --output out"],
    [
      "oci:sealed boot.json --html sealed.html",
      "also the result of seal boot-test --from oci:sealed --json >boot.json",
    ],
  ],
  arguments: REPORT_ARGUMENTS,
  options: REPORT_OPTIONS,
  run: async (context, options) => {
    const more = await Promise.all(options.reports.map((file) => readReport(context, file)));
    const written = await openOutput(context, options);
    const [first, ...others] = written ?? (await inspected(context, options));
    if (options.html === "-") {
      const { renderPage } = await import("./page.ts");
      context.process.stdout.write(renderPage([first, ...others, ...more]));
      return 0;
    }
    await writePage(context, options, async () => [first, ...others, ...more]);
    printLine(context, options.html);
    return 0;
  },
});

/** The boot path, findings, and every program of /boot, of one reading. */
async function inspected(context: Context, options: Options): Promise<readonly [Page, ...Page[]]> {
  const target = await openTarget(context, options);
  const rules = selectRules(RULES, options.skip);
  const lint = lintReportSchema.parse(toJson(await runRules(rules, target)));
  const programs = [];
  for (const { role, path: name, pe } of (await target.programs()).filter(isRead)) {
    programs.push({ role, report: await describePe(pe, name, context.process.now()) });
  }
  const { subject } = options.rootfs;
  const enforced = lint.hosts[0]?.verdicts[0]?.enforces.ok ?? null;
  return [
    bootPathPage(subject, programs, enforced),
    lintPage(subject, lint),
    ...programs.map(({ report }) => programPage(report)),
  ];
}

/** What `seal rootfs` wrote; null: the directory is not its output. */
async function openOutput(
  context: Context,
  { rootfs, cert, after }: Options,
): Promise<readonly [Page, ...Page[]] | null> {
  if (rootfs.kind !== "dir") return null;
  const file = join(rootfs.path, "report.json");
  const isThere = await access(userPath(context, file)).then(
    () => true,
    () => false,
  );
  if (!isThere) return null;
  const { success, data: report } = sealReportSchema.safeParse(await readJson(context, file));
  if (!success) throw inputError(file, "is not a report of seal rootfs");
  // Who asks for a check must not take the page for its answer.
  for (const [name, given] of Object.entries({ cert: cert.length > 0, after: after !== undefined })) {
    if (given) {
      context.ui.warn(
        `--${name}: ${rootfs.subject} is the output of seal rootfs, which lint rules can't check on its own; give the root filesystem or image with its /boot`,
      );
    }
  }
  const programs: Page[] = [];
  for (const { path: name } of report.files.filter((one) => /\.efi$/i.test(one.path))) {
    const program = join(rootfs.path, "boot", name);
    await withInput(userPath(context, program), async (bytes) => {
      programs.push(programPage(await describePe(parsePe(bytes, program), name, context.process.now())));
    });
  }
  return [sealedPage(report), ...programs];
}

/** A report that a verb printed. @throws SealError `input` where it is not one */
async function readReport(context: Context, file: string): Promise<Page> {
  const document = await readJson(context, file);
  const boot = bootTestReportSchema.safeParse(document);
  if (boot.success) return bootPage(boot.data, advice(boot.data));
  const image = imageReportSchema.safeParse(document);
  if (image.success) return sealedPage(image.data);
  const sealed = sealReportSchema.safeParse(document);
  if (sealed.success) return sealedPage(sealed.data);
  const lint = lintReportSchema.safeParse(document);
  if (lint.success) return lintPage(file, lint.data);
  const difference = diffReportSchema.safeParse(document);
  if (difference.success) return differencesPage(["the first", "the second"], difference.data, []);
  throw inputError(
    file,
    "is not a report of seal. Give what boot-test, image, rootfs, lint or diff printed with --json",
  );
}

async function readJson(context: Context, file: string): Promise<unknown> {
  const text = decodeText(await readInput(userPath(context, file), SMALL_FILE), file);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw inputError(file, "is not valid JSON", error);
  }
}
