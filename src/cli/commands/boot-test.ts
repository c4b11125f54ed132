/** `seal boot-test [BOOT]`: boots a `/boot` in a virtual machine with Secure Boot and its keys enrolled, and says how far it came. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { inputError } from "../../errors.ts";
import { makeEsp } from "../../io/esp.ts";
import { findPrograms } from "../../io/qemu.ts";
import { inTemporaryDirectory } from "../../io/temporary.ts";
import { checkKnowsSecureBoot, enforcesSignatures, type SecureBootMode } from "../boot-test-firmware.ts";
import { bootAndWatch, findMachineParts, secureBootMode } from "../boot-test-machine.ts";
import { advice, type BootTestReport, bootTestSchema, outcome, summarize } from "../boot-test-report.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import { BOOT_TEST_OPTIONS, type BootTestOptions, bootTestOptions } from "../options/boot-test.ts";

export const bootTestCommand = defineCommand<BootTestOptions>({
  examples: [
    ["out --enroll keys", "boots what seal rootfs --output out wrote; the kernel must start"],
    ["out --cert db.crt --expect SEALED-OK", "waits for a text on the serial console"],
    ["out --setup-mode", "lets systemd-boot enrol the keys in loader/keys/auto first"],
  ],
  arguments: [{ name: "[boot]", description: "a /boot for x64, or a directory with one in it (default: .)" }],
  options: BOOT_TEST_OPTIONS,
  schema: bootTestOptions,
  run: bootTest,
});

async function bootTest(context: Context, options: BootTestOptions): Promise<0 | 1> {
  const { host, ui } = context;
  const mode = secureBootMode(options);
  const boot = await findBoot(context, options.boot, mode);
  const tools = await findPrograms([options.qemu, "mkfs.vfat", "mcopy", "mdeltree"], host.env, host.cwd);
  const parts = await findMachineParts(context, options, tools[options.qemu] ?? options.qemu);

  const report = await inTemporaryDirectory(async (directory) => {
    const disk = join(directory, "esp.img");
    const step = ui.step("disk image");
    await makeEsp({
      boot,
      image: disk,
      withoutKeys: mode === "off",
      tools: { "mkfs.vfat": tools["mkfs.vfat"] ?? "", mcopy: tools["mcopy"] ?? "", mdeltree: tools["mdeltree"] ?? "" },
      env: host.env,
    });
    step.done();
    const run = await bootAndWatch(context, options, parts, disk, directory);
    if (mode !== "off" && run.state.stage !== "nothing") checkKnowsSecureBoot(run.vars, parts.firmwareCode);
    const { expect = null } = options;
    return bootTestSchema.parse({
      boot,
      secureBoot: mode,
      expect,
      accelerator: parts.accelerator,
      seconds: run.seconds,
      log: run.log,
      ...outcome(run.state, run.end, expect, enforcesSignatures(run.vars), mode),
    } satisfies BootTestReport);
  });
  return tell(context, options, report);
}

/** The `/boot` that is meant. */
async function findBoot(context: Context, given: string, mode: SecureBootMode): Promise<string> {
  const isThere = (place: string) =>
    stat(place).then(
      () => true,
      () => false,
    );
  const base = userPath(context, given);
  for (const boot of [base, join(base, "boot")]) {
    if (!(await isThere(join(boot, "EFI")))) continue;
    if (!(await isThere(join(boot, "EFI/BOOT/BOOTX64.EFI")))) {
      throw inputError(given, "has no EFI/BOOT/BOOTX64.EFI; only x64 can be tested, and firmware starts that file");
    }
    if (mode === "setup" && !(await isThere(join(boot, "loader/keys/auto/PK.auth")))) {
      throw inputError(given, "has no keys in loader/keys/auto to enrol; write it with --enroll-keys");
    }
    return boot;
  }
  throw inputError(given, "is no /boot (it has neither EFI nor boot/EFI); seal rootfs and seal boot-layout write one");
}

function tell(context: Context, options: BootTestOptions, report: BootTestReport): 0 | 1 {
  const { ui } = context;
  if (options.json) printJson(context, report);
  else {
    const hint = advice(report);
    if (!report.passed) for (const line of report.log.slice(-10)) ui.note(`  ${line}`);
    if (hint !== null) ui.note(hint);
    printLine(context, summarize(report));
  }
  return report.passed ? 0 : 1;
}
