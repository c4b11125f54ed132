/**
 * The virtual machine of `boot-test`: what it needs, found before anything is done, and its console, watched
 * until enough was seen.
 */
import { join } from "node:path";
import { guestCredentials } from "../../boot/console/guest-units.ts";
import type { BootStage } from "../../boot/console/lines.ts";
import { BOOT_START, type BootState, watchBoot } from "../../boot/console/stages.ts";
import { writeOutput } from "../../io/files.ts";
import { readInput } from "../../io/read-input.ts";
import { MACHINE_TYPES } from "../../io/vm/machine-types.ts";
import {
  checkReadable,
  chooseAccelerator,
  type Machine,
  type MachineEnd,
  type RunOptions,
  runMachine,
} from "../../io/vm/qemu.ts";
import { withTpm } from "../../io/vm/swtpm.ts";
import type { Context } from "../context.ts";
import { prepareVars } from "./firmware.ts";
import { type BootTestOptions, secureBootMode } from "./options.ts";
import { type BootGoal, STEP_NAMES, stillToSee } from "./report.ts";
import type { BootTestReport } from "./schema.ts";
import type { MachineTools } from "./subject.ts";

/** What makes kernel and systemd speak on the serial console, whatever the image says. */
function kernelArguments(terminal: string, goal: BootGoal): string {
  const words = { kernel: "loglevel=6", system: "loglevel=7 systemd.show_status=yes" };
  return `console=${terminal} ${words[goal.stage]}`;
}

/** What is found and prepared before a disk is made. */
export interface MachineParts {
  readonly qemu: string;
  readonly accelerator: "kvm" | "tcg";
  readonly firmwareCode: string;
  /** The variable store to start with. */
  readonly vars: Uint8Array;
  /** Absolute path of swtpm; null: the machine has no TPM. */
  readonly swtpm: string | null;
}

/** @throws SealError `input` for firmware and keys that can't be read */
export async function prepareMachine(
  context: Context,
  options: BootTestOptions,
  { qemu, swtpm, firmware }: MachineTools,
): Promise<MachineParts> {
  await checkReadable(firmware.code);
  const vars = await prepareVars(context, firmware.vars, secureBootMode(options), options);
  const accelerator = await chooseAccelerator(options.accel, options.arch, qemu, context.process.env);
  return { qemu, accelerator, firmwareCode: firmware.code, vars, swtpm };
}

export interface WatchedRun {
  readonly state: BootState;
  readonly end: MachineEnd;
  readonly seconds: number;
  readonly stages: BootTestReport["stages"];
  /** All that the console said, when it is to be kept. */
  readonly serial: readonly Uint8Array[];
  /** The last lines of the console. */
  readonly log: readonly string[];
  /** What the stub was given to add to the command line. */
  readonly kernelArguments: string;
  /** The variable store afterwards. */
  readonly vars: Uint8Array;
  /** What the TPM held at the end; null without one. */
  readonly pcrs: ReadonlyMap<number, Uint8Array> | null;
}

/** Those that firmware and boot programs extend, and that the system may. */
const READ_PCRS = Array.from({ length: 16 }, (_, pcr) => pcr);

/**
 * Boots a disk image and watches until enough was seen, the machine is off or time is up.
 * @param directory for files of the machine
 * @throws SealError `external` when QEMU does not run it
 */
export async function bootAndWatch(
  context: Context,
  options: BootTestOptions,
  parts: MachineParts,
  disk: string,
  directory: string,
  goal: BootGoal,
): Promise<WatchedRun> {
  const { process, ui } = context;
  const { terminal, loader } = MACHINE_TYPES[options.arch];
  const varsFile = join(directory, "vars.fd");
  await writeOutput(varsFile, [parts.vars], 0o600);
  const machine: Machine = {
    arch: options.arch,
    qemu: parts.qemu,
    accelerator: parts.accelerator,
    cpu: options.cpu,
    memoryMiB: options.memory,
    firmwareCode: parts.firmwareCode,
    vars: varsFile,
    disk,
    kernelArguments: options.kernelArguments ?? kernelArguments(terminal, goal),
    credentials: goal.stage === "system" ? guestCredentials(terminal) : new Map(),
    mayReset: secureBootMode(options) === "setup",
    tpm: null,
  };
  const watch = watchBoot(goal.expect, loader);
  let state = BOOT_START;
  const stages: { stage: BootStage; seconds: number }[] = [];
  const serial: Uint8Array[] = [];
  const start = process.elapsed();
  const seconds = () => Math.round((process.elapsed() - start) / 100) / 10;
  let step = ui.step(STEP_NAMES[state.stage]);
  const runOptions: RunOptions = {
    timeoutSeconds: options.timeout,
    env: process.env,
    cwd: process.cwd,
    onSerial: (bytes) => {
      if (options.keepLog !== undefined) serial.push(bytes);
      const before = state.stage;
      state = watch.push(bytes);
      for (const stage of state.seen.slice(stages.length)) stages.push({ stage, seconds: seconds() });
      const still = state.stop !== null ? "nothing" : stillToSee(state, goal);
      if (state.stage !== before && still !== "nothing") {
        step.done();
        step = ui.step(STEP_NAMES[state.stage]);
      }
      step.update(watch.lastLines().at(-1) ?? "");
      return still;
    },
  };
  const { end, pcrs } = await runWithTpm(parts.swtpm, directory, machine, runOptions);
  step.done();
  const [log, vars] = [watch.lastLines(), await readInput(varsFile)];
  const { kernelArguments: given } = machine;
  return { state, end, seconds: seconds(), stages, serial, log, kernelArguments: given, vars, pcrs };
}

async function runWithTpm(
  program: string | null,
  directory: string,
  machine: Machine,
  options: RunOptions,
): Promise<Pick<WatchedRun, "end" | "pcrs">> {
  if (program === null) return { end: await runMachine(machine, options), pcrs: null };
  return withTpm({ program, directory, env: options.env }, async ({ control, readPcrs }) => {
    const tpm = { control, monitor: join(directory, "monitor") };
    const end = await runMachine({ ...machine, tpm }, options);
    return { end, pcrs: await readPcrs(READ_PCRS) };
  });
}
