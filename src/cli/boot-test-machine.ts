/** The virtual machine of `boot-test`: what it needs, found before anything is done, and its console, watched until enough was seen. */
import { join } from "node:path";
import { type BootState, watchBoot } from "../boot/boot-stages.ts";
import { readInput, writeOutput } from "../io/files.ts";
import {
  checkReadable,
  chooseAccelerator,
  findFirmware,
  type Machine,
  type MachineEnd,
  missingTools,
  runMachine,
} from "../io/qemu.ts";
import { firmwarePath, prepareVars, type SecureBootMode } from "./boot-test-firmware.ts";
import { reachedGoal, STEP_NAMES } from "./boot-test-report.ts";
import { type Context, userPath } from "./context.ts";
import type { BootTestOptions } from "./options/boot-test.ts";

/** What is found and prepared before a disk is made. */
export interface MachineParts {
  readonly qemu: string;
  readonly accelerator: "kvm" | "tcg";
  readonly firmwareCode: string;
  /** The variable store to start with. */
  readonly vars: Uint8Array;
}

export function secureBootMode({ setupMode, secureBoot }: BootTestOptions): SecureBootMode {
  return setupMode ? "setup" : secureBoot ? "enforced" : "off";
}

/**
 * @param qemu absolute path
 * @throws SealError `external` without firmware, `input` for keys that can't be read
 */
export async function findMachineParts(
  context: Context,
  options: BootTestOptions,
  qemu: string,
): Promise<MachineParts> {
  const installed = await findFirmware();
  const firmwareCode = firmwarePath(context, options.firmwareCode, installed?.code);
  const emptyVars = firmwarePath(context, options.firmwareVars, installed?.vars);
  if (firmwareCode === null || emptyVars === null) throw missingTools("OVMF, the firmware");
  await checkReadable(firmwareCode);
  const vars = await prepareVars(context, emptyVars, secureBootMode(options), options);
  const accelerator = await chooseAccelerator(options.accel, qemu, context.host.env);
  return { qemu, accelerator, firmwareCode, vars };
}

export interface WatchedRun {
  readonly state: BootState;
  readonly end: MachineEnd;
  readonly seconds: number;
  /** The last lines of the console. */
  readonly log: readonly string[];
  /** The variable store afterwards. */
  readonly vars: Uint8Array;
}

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
): Promise<WatchedRun> {
  const { host, ui } = context;
  const { expect = null, keepLog } = options;
  const varsFile = join(directory, "vars.fd");
  await writeOutput(varsFile, [parts.vars], 0o600);
  const machine: Machine = {
    qemu: parts.qemu,
    accelerator: parts.accelerator,
    cpu: options.cpu,
    memoryMiB: options.memory,
    firmwareCode: parts.firmwareCode,
    vars: varsFile,
    disk,
    kernelArguments: options.kernelArguments,
    mayReset: options.setupMode,
  };
  const watch = watchBoot(expect);
  let state: BootState = { stage: "nothing", stop: null };
  const log: Uint8Array[] = [];
  const start = host.elapsed();
  const seconds = () => Math.round((host.elapsed() - start) / 100) / 10;
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
  return { state, end, seconds: seconds(), log: watch.lastLines(), vars: await readInput(varsFile) };
}
