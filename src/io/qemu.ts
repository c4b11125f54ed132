/** A virtual PC with UEFI firmware that can enforce Secure Boot: QEMU with OVMF, its serial console read while it runs. */
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { inputError, SealError } from "../errors.ts";
import { findProgram, programFailed } from "./exec.ts";
import { orUndo } from "./undo.ts";

type Env = Readonly<Record<string, string | undefined>>;

export interface Firmware {
  /** Read-only flash with the program; one that knows Secure Boot. */
  readonly code: string;
  /** Variable store to start from. */
  readonly vars: string;
}

/** Where distributions put OVMF with Secure Boot, and the empty variable store that belongs to it. */
const FIRMWARE: readonly Firmware[] = [
  // Debian, Ubuntu
  { code: "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", vars: "/usr/share/OVMF/OVMF_VARS_4M.fd" },
  // Fedora, CentOS
  { code: "/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", vars: "/usr/share/edk2/ovmf/OVMF_VARS.fd" },
  // Arch
  { code: "/usr/share/edk2/x64/OVMF_CODE.secboot.4m.fd", vars: "/usr/share/edk2/x64/OVMF_VARS.4m.fd" },
  // openSUSE
  { code: "/usr/share/qemu/ovmf-x86_64-smm-code.bin", vars: "/usr/share/qemu/ovmf-x86_64-smm-vars.bin" },
];

/** The firmware that is installed; null without any. */
export async function findFirmware(): Promise<Firmware | null> {
  for (const firmware of FIRMWARE) {
    const readable = (path: string) =>
      access(path, constants.R_OK).then(
        () => true,
        () => false,
      );
    if ((await readable(firmware.code)) && (await readable(firmware.vars))) return firmware;
  }
  return null;
}

/**
 * Finds programs, all of them before anything is done.
 * @throws SealError `external` that names those that are missing and the packages that have them
 */
export async function findPrograms<Name extends string>(
  names: readonly Name[],
  env: Env,
  cwd: string,
): Promise<Record<Name, string>> {
  const found = {} as Record<Name, string>;
  const missing: Name[] = [];
  for (const name of names) {
    const path = await findProgram(name, env, cwd);
    if (path === null) missing.push(name);
    else found[name] = path;
  }
  if (missing.length > 0) throw missingTools(missing.join(", "));
  return found;
}

export function missingTools(what: string): SealError {
  return new SealError(
    "external",
    `not installed: ${what}. Install qemu-system-x86, ovmf, mtools and dosfstools (Debian, Ubuntu) or qemu-system-x86-core, edk2-ovmf, mtools and dosfstools (Fedora)`,
  );
}

export const ACCELERATORS = ["auto", "kvm", "tcg"] as const;
export type Accelerator = (typeof ACCELERATORS)[number];

export interface Machine {
  /** Absolute path of qemu-system-x86_64. */
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
  /** False: a machine that resets ends. */
  readonly mayReset: boolean;
}

export type MachineEnd = "stopped" | "off" | "timeout";

export interface RunOptions {
  readonly timeoutSeconds: number;
  readonly env: Env;
  readonly cwd: string;
  /** Gets what comes over the serial console. @returns true: enough was seen, turn the machine off */
  readonly onSerial: (bytes: Uint8Array) => boolean;
}

/**
 * Runs a machine until it is off, enough was seen or time is up; then it is gone, also when a signal ends this process.
 * @throws SealError `external` when QEMU does not run it
 */
export async function runMachine(machine: Machine, options: RunOptions): Promise<MachineEnd> {
  const { execa } = await import("execa");
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
  const kill = (why: MachineEnd) => {
    if (end === "off") end = why;
    child.kill("SIGKILL");
  };
  const timer = setTimeout(() => kill("timeout"), options.timeoutSeconds * 1000);
  try {
    return await orUndo(
      () => void child.kill("SIGKILL"),
      async () => {
        for await (const bytes of child.stdout as AsyncIterable<Uint8Array>) {
          if (end === "off" && options.onSerial(bytes)) kill("stopped");
        }
        const result = await child;
        if (end === "off" && result.failed) throw programFailed(machine.qemu, result);
        return end;
      },
    );
  } finally {
    clearTimeout(timer);
  }
}

/** A comma ends a value in QEMU's options unless it stands there twice. */
function value(text: string): string {
  return text.replaceAll(",", ",,");
}

function qemuArguments(machine: Machine): string[] {
  const { kernelArguments } = machine;
  const flash = (unit: 0 | 1, file: string, options: string) =>
    `if=pflash,format=raw,unit=${unit},file=${value(file)}${options}`;
  return [
    ...machineArguments(machine.accelerator),
    ...["-cpu", machine.cpu, "-m", String(machine.memoryMiB)],
    ...(machine.mayReset ? [] : ["-no-reboot"]),
    // Only the firmware may write to its flash, from system management mode: else programs could change the keys.
    ...["-global", "driver=cfi.pflash01,property=secure,value=on"],
    ...["-drive", flash(0, machine.firmwareCode, ",readonly=on"), "-drive", flash(1, machine.vars, "")],
    ...["-drive", `if=none,id=esp,format=raw,file=${value(machine.disk)},snapshot=on`],
    ...["-device", "virtio-blk-pci,drive=esp,bootindex=1"],
    ...(kernelArguments === ""
      ? []
      : ["-smbios", `type=11,value=io.systemd.stub.kernel-cmdline-extra=${value(kernelArguments)}`]),
    ...["-serial", "stdio"],
  ];
}

function machineArguments(accelerator: "kvm" | "tcg"): string[] {
  return ["-machine", `q35,smm=on,accel=${accelerator}`, "-nodefaults", "-display", "none"];
}

/** How long a machine that does not run takes to appear, at most. */
const PROBE_MS = 10_000;

/**
 * KVM where it has system management mode, which OVMF with Secure Boot needs; some nested ones have none. Else emulation.
 */
export async function chooseAccelerator(wanted: Accelerator, qemu: string, env: Env): Promise<"kvm" | "tcg"> {
  if (wanted !== "auto") return wanted;
  const usable = await access("/dev/kvm", constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!usable) return "tcg";
  const { execa } = await import("execa");
  // The machine is made, but does not start: -S.
  const args = [...machineArguments("kvm"), "-S", "-monitor", "stdio"];
  const options = { env: { ...env }, extendEnv: false, input: "quit\n", timeout: PROBE_MS, reject: false } as const;
  const { failed } = await execa(qemu, args, options);
  return failed ? "tcg" : "kvm";
}

/** @throws SealError `input` when a firmware file can't be read */
export async function checkReadable(path: string): Promise<void> {
  await access(path, constants.R_OK).catch((error: unknown) => {
    throw inputError(path, "can't be read", error);
  });
}
