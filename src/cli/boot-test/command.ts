/**
 * `seal boot-test [BOOT]`: boots a `/boot`, an image or a disk in a virtual machine with Secure Boot and its keys
 * enrolled, and says how far it came.
 */
import { checkOutput, writeOutput } from "../../io/files.ts";
import { inTemporaryDirectory } from "../../io/temporary.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import { checkPage, writePage } from "../options/html.ts";
import { renderReport } from "../terminal/report.ts";
import { advice } from "./advice.ts";
import { checkKnowsSecureBoot, enforcesSignatures, loaderRefusal } from "./firmware.ts";
import { bootAndWatch, prepareMachine } from "./machine.ts";
import {
  BOOT_TEST_ARGUMENTS,
  type BootTestOptions,
  bootTestOptions,
  checkBootTest,
  secureBootMode,
} from "./options.ts";
import { comparePcrs } from "./pcrs.ts";
import { type BootGoal, outcome, stageRows, summarize } from "./report.ts";
import { areAsComputed, type BootTestReport, bootTestReportSchema } from "./schema.ts";
import { prepareSubject } from "./subject.ts";

export const bootTestCommand = defineCommand({
  examples: [
    ["out --enroll keys", "boots the output of seal rootfs --output out; the kernel must start"],
    ["out --cert db.crt --expect SEALED-OK", "waits for a text on the serial console"],
    ["out --enroll keys --swtpm", "also compares the measured PCR values with the predicted ones"],
    ["out --setup-mode", "lets systemd-boot enrol the keys in loader/keys/auto first"],
    ["--from oci:out:latest", "installs a sealed image as bootc does, enrols its keys, boots it and checks fs-verity"],
    ["--from oci:out:latest --enroll keys", "the same on a machine with these keys already enrolled"],
    ["--from oci:out --cert db.crt --keep-disk disk.img", "keeps the disk, which also boots elsewhere"],
  ],
  arguments: BOOT_TEST_ARGUMENTS,
  options: bootTestOptions,
  run: bootTest,
});

async function bootTest(context: Context, options: BootTestOptions): Promise<0 | 1> {
  const { ui } = context;
  checkBootTest(options);
  const mode = secureBootMode(options);
  const isWhole = options.from !== undefined || options.disk !== undefined;
  const { expect = null } = options;
  const goal: BootGoal = {
    expect,
    stage: isWhole ? "system" : "kernel",
    enforced: isWhole && !options.allowMissingVerity,
  };
  await checkPage(context, options);
  for (const output of [options.keepLog, options.keepDisk]) {
    if (output !== undefined) await checkOutput(userPath(context, output));
  }
  const { tools, make } = await prepareSubject(context, options, mode);
  const parts = await prepareMachine(context, options, tools);

  const { report, serial } = await inTemporaryDirectory(async (directory) => {
    const subject = await make(directory);
    const run = await bootAndWatch(context, options, parts, subject.disk, directory, goal);
    if (mode !== "off" && run.state.stage !== "nothing") checkKnowsSecureBoot(run.vars, parts.firmwareCode);
    const result = outcome(run.state, run.end, goal, enforcesSignatures(run.vars), mode);
    const refusal =
      result.refused?.by === "firmware" ? loaderRefusal(subject.loader, run.vars, context.process.now()) : null;
    const pcrs = await comparePcrs(context, run, subject.boot);
    const told = bootTestReportSchema.parse({
      boot: subject.name,
      secureBoot: mode,
      expect,
      image: subject.image,
      disk: subject.kept ? subject.disk : null,
      accelerator: parts.accelerator,
      seconds: run.seconds,
      stages: run.stages,
      log: run.log,
      ...result,
      reason: refusal ?? result.reason,
      ...(result.passed && !areAsComputed(pcrs) ? { passed: false, end: "pcr-mismatch" } : {}),
      pcrs,
    } satisfies BootTestReport);
    return { report: told, serial: run.serial };
  });
  await writePage(context, options, async () => [(await import("../html/boot.ts")).bootPage(report, advice(report))]);
  if (options.json) printJson(context, report);
  else {
    if (isWhole) ui.block(renderReport(stageRows(report), ui.err, context.process.stderr.columns));
    if (!report.passed) for (const line of report.log.slice(-10)) ui.note(`  ${line}`);
    const hint = advice(report);
    if (hint !== null) ui.note(hint);
    printLine(context, summarize(report));
  }
  // At the end, as the report must not be lost with it.
  if (options.keepLog !== undefined) await writeOutput(userPath(context, options.keepLog), serial);
  return report.passed ? 0 : 1;
}
