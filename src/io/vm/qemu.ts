/**
 * A virtual machine with UEFI firmware that can enforce Secure Boot: QEMU with EDK II, its serial
 * console read while it runs.
 */
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { inputError, SealError } from "../../errors.ts";
import { type Environment, programFailed } from "../exec.ts";
import { reasonOf } from "../files.ts";
import { orUndo } from "../undo.ts";
import { MACHINE_TYPES, type MachineArch } from "./machine-types.ts";
import { openMonitor } from "./qemu-monitor.ts";

export const ACCELERATORS = ["auto", "kvm", "tcg"] as const;
export type Accelerator = (typeof ACCELERATORS)[number];

export interface Machine {
  readonly arch: MachineArch;
  /** Absolute path of QEMU for that architecture. */
  readonly qemu: string;
  readonly accelerator: "kvm" | "tcg";
  /** QEMU's name of a CPU model. */
  readonly cpu: string;
  readonly memoryMiB: number;
  readonly firmwareCode: string;
  /** Variable store, which the machine writes to. */
  readonly vars: string;
  /** Raw image of the only disk; what the machine writes is thrown away. */
  readonly disk: string;
  /** What systemd-stub adds to the command line in a UKI (SMBIOS type 11); empty: nothing. */
  readonly kernelArguments: string;
  /** System credentials that systemd imports (SMBIOS type 11, `io.systemd.credential`), by name. */
  readonly credentials: ReadonlyMap<string, Uint8Array>;
  /** False: a machine that resets ends. */
  readonly mayReset: boolean;
  /**
   * Null: none. Paths of the TPM's socket, and of one to be made for QEMU's monitor. The machine ends
   * without turning it off.
   */
  readonly tpm: { readonly control: string; readonly monitor: string } | null;
}

export type MachineEnd = "stopped" | "off" | "timeout";

/** What the console has yet to say: `last words` may come at once, or never. */
export type StillToSee = "more" | "last words" | "nothing";

/** How long last words are waited for. */
const LAST_WORDS_SECONDS = 30;

export interface RunOptions {
  readonly timeoutSeconds: number;
  readonly env: Environment;
  readonly cwd: string;
  /**
   * Gets what comes over the serial console.
   * @returns `nothing`: turn the machine off; `last words`: in half a minute
   */
  readonly onSerial: (bytes: Uint8Array) => StillToSee;
}

/**
 * Runs a machine until it is off, enough was seen or time is up; then it is gone, also when a signal ends this process.
 * @throws SealError `external` when QEMU does not run it
 */
export async function runMachine(machine: Machine, options: RunOptions): Promise<MachineEnd> {
  const { execa } = await import("execa");
  const monitor = machine.tpm === null ? null : await openMonitor(machine.tpm.monitor);
  const child = execa(machine.qemu, qemuArguments(machine), {
    cwd: options.cwd,
    env: { ...options.env },
    extendEnv: false,
    stdin: "ignore",
    buffer: { stdout: false },
    maxBuffer: { stderr: 1 << 16 },
    encoding: "utf8",
    reject: false,
  });
  let end: MachineEnd = "off";
  let killed = false;
  const kill = (why: MachineEnd) => {
    if (end === "off") end = why;
    killed = true;
    child.kill("SIGKILL");
  };
  void monitor?.shutdown.then(() => kill("off"));
  const timer = setTimeout(() => kill("timeout"), options.timeoutSeconds * 1000);
  let lastWords: NodeJS.Timeout | null = null;
  try {
    return await orUndo(
      () => void child.kill("SIGKILL"),
      async () => {
        for await (const bytes of child.stdout as AsyncIterable<Uint8Array>) {
          if (end !== "off") continue;
          const still = options.onSerial(bytes);
          if (still === "nothing") kill("stopped");
          else if (still === "last words") lastWords ??= setTimeout(() => kill("stopped"), LAST_WORDS_SECONDS * 1000);
        }
        const result = await child;
        if (!killed && result.failed) throw programFailed(machine.qemu, result);
        return end;
      },
    );
  } finally {
    clearTimeout(timer);
    if (lastWords !== null) clearTimeout(lastWords);
    monitor?.close();
  }
}

/** A comma ends a value in QEMU's options unless it is doubled. */
function value(text: string): string {
  return text.replaceAll(",", ",,");
}

function qemuArguments(machine: Machine): string[] {
  const { kernelArguments } = machine;
  const flash = (unit: 0 | 1, file: string, options: string) =>
    `if=pflash,format=raw,unit=${unit},file=${value(file)}${options}`;
  return [
    ...machineArguments(machine.arch, machine.accelerator),
    ...["-cpu", machine.cpu, "-m", String(machine.memoryMiB)],
    ...(machine.mayReset ? [] : ["-no-reboot"]),
    ...MACHINE_TYPES[machine.arch].flash,
    ...["-drive", flash(0, machine.firmwareCode, ",readonly=on"), "-drive", flash(1, machine.vars, "")],
    ...["-drive", `if=none,id=esp,format=raw,file=${value(machine.disk)},snapshot=on`],
    ...["-device", "virtio-blk-pci,drive=esp,bootindex=1"],
    ...(kernelArguments === ""
      ? []
      : ["-smbios", `type=11,value=io.systemd.stub.kernel-cmdline-extra=${value(kernelArguments)}`]),
    ...[...machine.credentials].flatMap(([name, bytes]) => [
      "-smbios",
      `type=11,value=${value(`io.systemd.credential.binary:${name}=${Buffer.from(bytes).toString("base64")}`)}`,
    ]),
    ...(machine.tpm === null ? [] : tpmArguments(machine.arch, machine.tpm)),
    ...["-serial", "stdio"],
  ];
}

/** A machine that turned itself off stays, as QEMU would turn off the TPM too, and what it holds would be lost. */
function tpmArguments(arch: MachineArch, { control, monitor }: NonNullable<Machine["tpm"]>): string[] {
  return [
    ...["-chardev", `socket,id=tpm,path=${value(control)}`],
    ...["-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", `${MACHINE_TYPES[arch].tpm},tpmdev=tpm0`],
    ...["-no-shutdown", "-chardev", `socket,id=monitor,path=${value(monitor)}`, "-mon", "chardev=monitor,mode=control"],
  ];
}

function machineArguments(arch: MachineArch, accelerator: "kvm" | "tcg"): string[] {
  return ["-machine", `${MACHINE_TYPES[arch].machine},accel=${accelerator}`, "-nodefaults", "-display", "none"];
}

/** How long a machine that does not run takes to appear, at most. */
const PROBE_MS = 10_000;

/**
 * KVM where it runs such a machine: not for another architecture, and on x64 only with system management mode, which
 * OVMF with Secure Boot needs and some nested ones have not. Else emulation.
 */
export async function chooseAccelerator(
  wanted: Accelerator,
  arch: MachineArch,
  qemu: string,
  env: Environment,
): Promise<"kvm" | "tcg"> {
  if (wanted !== "auto") return wanted;
  const usable = await access("/dev/kvm", constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!usable) return "tcg";
  const { execa } = await import("execa");
  // The machine is made, but does not start: -S.
  const args = [...machineArguments(arch, "kvm"), "-S", "-monitor", "stdio"];
  const options = { env: { ...env }, extendEnv: false, input: "quit\n", timeout: PROBE_MS, reject: false } as const;
  const { failed } = await execa(qemu, args, options);
  return failed ? "tcg" : "kvm";
}

/** @throws SealError `input` when firmware or a disk can't be read */
export async function checkReadable(path: string): Promise<void> {
  try {
    await access(path, constants.R_OK);
    if ((await stat(path)).isDirectory()) throw inputError(path, "is a directory; give a file");
  } catch (error) {
    throw error instanceof SealError ? error : inputError(path, `can't be read: ${reasonOf(error)}`, error);
  }
}
