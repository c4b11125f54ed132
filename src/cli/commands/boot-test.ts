/** `seal boot-test [BOOT]`: boots a `/boot` in a virtual machine with Secure Boot and its keys enrolled, and says how far it came. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { type BootState, watchBoot } from "../../boot/boot-stages.ts";
import { inputError } from "../../errors.ts";
import { makeEsp } from "../../io/esp.ts";
import { readInput, writeOutput } from "../../io/files.ts";
import {
  ACCELERATORS,
  checkReadable,
  chooseAccelerator,
  findFirmware,
  findPrograms,
  type Machine,
  missingTools,
  runMachine,
} from "../../io/qemu.ts";
import { inTemporaryDirectory } from "../../io/temporary.ts";
import {
  checkKnowsSecureBoot,
  enforcesSignatures,
  firmwarePath,
  prepareVars,
  type SecureBootMode,
} from "../boot-test-firmware.ts";
import {
  advice,
  type BootTestReport,
  bootTestSchema,
  outcome,
  reachedGoal,
  STEP_NAMES,
  summarize,
} from "../boot-test-report.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";

const path = z.string().min(1, "give a path");
const number = (text: string) =>
  z
    .string()
    .regex(/^[1-9]\d{0,5}$/, text)
    .transform(Number);

const schema = z
  .object({
    boot: path.default("."),
    enroll: path.optional(),
    cert: z.array(path).default([]),
    dbx: z.array(path).default([]),
    setupMode: z.boolean().default(false),
    secureBoot: z.boolean().default(true),
    expect: z
      .string()
      .regex(/^[^\r\n]+$/, "give a text within one line")
      .optional(),
    timeout: number("give seconds, a whole number").default(120),
    kernelArguments: z
      .string()
      .refine((text) => !text.includes("\0"), "has a NUL")
      .default("console=ttyS0 loglevel=6"),
    accel: z.enum(ACCELERATORS, `give one of ${ACCELERATORS.join(", ")}`).default("auto"),
    cpu: z.string().min(1, "give a CPU model").default("max"),
    memory: number("give MiB, a whole number").default(1024),
    qemu: path.default("qemu-system-x86_64"),
    firmwareCode: path.optional(),
    firmwareVars: path.optional(),
    keepLog: path.optional(),
    json: z.boolean().default(false),
  })
  .refine(
    ({ setupMode, secureBoot }) => !setupMode || secureBoot,
    "--setup-mode and --no-secure-boot exclude each other",
  )
  .refine(
    ({ setupMode, secureBoot, enroll, cert }) => setupMode || !secureBoot || enroll !== undefined || cert.length > 0,
    "--enroll: give the directory of keys that signed it, or a certificate with --cert; or --setup-mode, or --no-secure-boot",
  )
  .refine(
    // A certificate may stand in seal.toml for other verbs.
    ({ setupMode, secureBoot, enroll, dbx }) =>
      (secureBoot && !setupMode) || (enroll === undefined && dbx.length === 0),
    "--enroll, --dbx: nothing is enrolled beforehand with --setup-mode or --no-secure-boot",
  );
type Options = z.infer<typeof schema>;

const KEYS = "Secure Boot";
const MACHINE = "Virtual machine";

export const bootTestCommand = defineCommand<Options>({
  examples: [
    ["out --enroll keys", "boots what seal rootfs --output out wrote; the kernel must start"],
    ["out --cert db.crt --expect SEALED-OK", "waits for a text on the serial console"],
    ["out --setup-mode", "lets systemd-boot enrol the keys in loader/keys/auto first"],
  ],
  arguments: [{ name: "[boot]", description: "a /boot for x64, or a directory with one in it (default: .)" }],
  options: [
    {
      flags: "--enroll <dir>",
      description: "directory with PK.auth, KEK.auth, db.auth (and dbx.auth): what the firmware trusts",
      group: KEYS,
      aliases: ["--enroll-keys"],
      complete: "directory",
    },
    {
      flags: "--cert <file...>",
      description: "certificate for db, for PK and KEK too without --enroll; repeatable",
      group: KEYS,
      complete: "file",
    },
    {
      flags: "--dbx <file...>",
      description: "what may not start: certificates, signature lists, .auth or EFI programs; repeatable",
      group: KEYS,
      complete: "file",
    },
    { flags: "--setup-mode", description: "start without keys; systemd-boot must enrol them and reset", group: KEYS },
    { flags: "--no-secure-boot", description: "start without keys, and let nothing enrol any", group: KEYS },
    {
      flags: "--expect <text>",
      description: "text on the serial console that proves that the image runs",
      default: "it is enough that the kernel starts",
    },
    { flags: "--timeout <seconds>", description: "how long it may take", default: "120" },
    { flags: "--keep-log <file>", description: "write all that the serial console said", complete: "file" },
    { flags: "--json", description: "print the result as JSON" },
    {
      flags: "--kernel-arguments <text>",
      description: "what systemd-stub adds to the command line in the UKI; empty for nothing",
      default: "console=ttyS0 loglevel=6",
      group: MACHINE,
    },
    {
      flags: "--accel <how>",
      description: "kvm, tcg (emulation) or auto",
      default: "auto",
      group: MACHINE,
      complete: ACCELERATORS,
    },
    { flags: "--cpu <model>", description: "CPU model of QEMU", default: "max", group: MACHINE },
    { flags: "--memory <mib>", description: "memory", default: "1024", group: MACHINE },
    { flags: "--qemu <program>", description: "QEMU", default: "qemu-system-x86_64", group: MACHINE, complete: "file" },
    {
      flags: "--firmware-code <file>",
      description: "OVMF with Secure Boot and SMM",
      default: "the one that is installed",
      group: MACHINE,
      complete: "file",
    },
    {
      flags: "--firmware-vars <file>",
      description: "its variable store, empty",
      default: "the one that is installed",
      group: MACHINE,
      complete: "file",
    },
  ],
  schema,
  run: bootTest,
});

async function bootTest(context: Context, options: Options): Promise<0 | 1> {
  const { host, ui } = context;
  const mode: SecureBootMode = options.setupMode ? "setup" : options.secureBoot ? "enforced" : "off";
  const boot = await findBoot(context, options.boot, mode);
  const tools = await findPrograms([options.qemu, "mkfs.vfat", "mcopy", "mdeltree"], host.env, host.cwd);
  const qemu = tools[options.qemu] ?? options.qemu;
  const installed = await findFirmware();
  const firmwareCode = firmwarePath(context, options.firmwareCode, installed?.code);
  const emptyVars = firmwarePath(context, options.firmwareVars, installed?.vars);
  if (firmwareCode === null || emptyVars === null) throw missingTools("OVMF, the firmware");
  await checkReadable(firmwareCode);
  const vars = await prepareVars(context, emptyVars, mode, options);
  const accelerator = await chooseAccelerator(options.accel, qemu, host.env);

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
    const varsFile = join(directory, "vars.fd");
    await writeOutput(varsFile, [vars], 0o600);
    const machine: Machine = {
      qemu,
      accelerator,
      cpu: options.cpu,
      memoryMiB: options.memory,
      firmwareCode,
      vars: varsFile,
      disk,
      kernelArguments: options.kernelArguments,
      mayReset: mode === "setup",
    };
    const run = await watchMachine(context, options, machine);
    const after = await readInput(varsFile);
    if (mode !== "off" && run.state.stage !== "nothing") checkKnowsSecureBoot(after, firmwareCode);
    const { expect = null } = options;
    return bootTestSchema.parse({
      boot,
      secureBoot: mode,
      expect,
      accelerator,
      seconds: run.seconds,
      log: run.log,
      ...outcome(run.state, run.end, expect, enforcesSignatures(after), mode),
    } satisfies BootTestReport);
  });
  return tell(context, options, report);
}

async function watchMachine(context: Context, options: Options, machine: Machine) {
  const { host, ui } = context;
  const { expect = null, keepLog } = options;
  const watch = watchBoot(expect);
  let state: BootState = { stage: "nothing", stop: null };
  const log: Uint8Array[] = [];
  const start = host.elapsed();
  const seconds = () => (host.elapsed() - start) / 1000;
  let step = ui.step(STEP_NAMES[state.stage]);
  const end = await runMachine(machine, {
    timeoutSeconds: options.timeout,
    env: host.env,
    cwd: host.cwd,
    onSerial: (bytes) => {
      if (keepLog !== undefined) log.push(bytes);
      const before = state.stage;
      state = watch.push(bytes);
      const enough = state.stop !== null || reachedGoal(state, expect);
      if (state.stage !== before && !enough) {
        step.done();
        step = ui.step(STEP_NAMES[state.stage]);
      }
      step.update(watch.lastLines().at(-1) ?? "");
      return enough;
    },
  });
  step.done();
  if (keepLog !== undefined) await writeOutput(userPath(context, keepLog), log);
  return { state, end, seconds: Math.round(seconds() * 10) / 10, log: watch.lastLines() };
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

function tell(context: Context, options: Options, report: BootTestReport): 0 | 1 {
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
