/** A virtual PC with UEFI firmware that can enforce Secure Boot: QEMU with OVMF, its serial console read while it runs. */
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { inputError, SealError } from "../errors.ts";
import { type Environment, findProgram, programFailed } from "./exec.ts";
import { openMonitor } from "./qemu-monitor.ts";
import { orUndo } from "./undo.ts";

export interface Firmware {
  /** Read-only flash with the program; one that knows Secure Boot. */
  readonly code: string;
  /** Variable store to start from. */
  readonly vars: string;
}

/** What the firmware is called in messages. */
export const FIRMWARE_NAME = "OVMF, the firmware";

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
 * @param programs names or paths, by what the caller calls them
 * @returns absolute paths
 * @throws SealError `external` that names those that are missing and the packages that have them
 */
export async function findPrograms<Key extends string>(
  programs: Readonly<Record<Key, string>>,
  env: Environment,
  cwd: string,
): Promise<Record<Key, string>> {
  const found: Record<Key, string> = { ...programs };
  const missing: string[] = [];
  for (const key of Object.keys(programs) as Key[]) {
    const path = await findProgram(programs[key], env, cwd);
    if (path === null) missing.push(programs[key]);
    else found[key] = path;
  }
  if (missing.length > 0) throw missingTools(missing);
  return found;
}

/** Packages that have what is missing; `cfsctl` is in none. */
const PACKAGES: Readonly<Record<string, readonly [debian: string, fedora: string]>> = {
  "mkfs.vfat": ["dosfstools", "dosfstools"],
  mcopy: ["mtools", "mtools"],
  mdeltree: ["mtools", "mtools"],
  sfdisk: ["fdisk", "util-linux"],
  "mkfs.ext4": ["e2fsprogs", "e2fsprogs"],
  debugfs: ["e2fsprogs", "e2fsprogs"],
  swtpm: ["swtpm", "swtpm"],
  [FIRMWARE_NAME]: ["ovmf", "edk2-ovmf"],
};
const QEMU_PACKAGES = ["qemu-system-x86", "qemu-system-x86-core"] as const;
const CFSCTL = "cfsctl";

/** @param names of programs; {@link FIRMWARE_NAME}; all else is taken for QEMU */
export function missingTools(names: readonly string[]): SealError {
  const packages = names.filter((name) => name !== CFSCTL).map((name) => PACKAGES[name] ?? QEMU_PACKAGES);
  const of = (system: 0 | 1) => [...new Set(packages.map((pair) => pair[system]))].join(" ");
  const ways = [
    ...(packages.length === 0 ? [] : [`${of(0)} (Debian, Ubuntu) or ${of(1)} (Fedora)`]),
    ...(names.includes(CFSCTL) ? ["cfsctl with cargo install composefs-ctl --features oci"] : []),
  ];
  return new SealError("external", `not installed: ${names.join(", ")}. Install ${ways.join("; ")}`);
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
  /** System credentials that systemd imports (SMBIOS type 11, `io.systemd.credential`), by name. */
  readonly credentials: ReadonlyMap<string, Uint8Array>;
  /** False: a machine that resets ends. */
  readonly mayReset: boolean;
  /** Null: none. Paths of the TPM's socket, and of one to be made for QEMU's monitor. The machine ends without turning it off. */
  readonly tpm: { readonly control: string; readonly monitor: string } | null;
}

export type MachineEnd = "stopped" | "off" | "timeout";

export interface RunOptions {
  readonly timeoutSeconds: number;
  readonly env: Environment;
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
  try {
    return await orUndo(
      () => void child.kill("SIGKILL"),
      async () => {
        for await (const bytes of child.stdout as AsyncIterable<Uint8Array>) {
          if (end === "off" && options.onSerial(bytes)) kill("stopped");
        }
        const result = await child;
        if (!killed && result.failed) throw programFailed(machine.qemu, result);
        return end;
      },
    );
  } finally {
    clearTimeout(timer);
    monitor?.close();
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
    ...[...machine.credentials].flatMap(([name, bytes]) => [
      "-smbios",
      `type=11,value=${value(`io.systemd.credential.binary:${name}=${Buffer.from(bytes).toString("base64")}`)}`,
    ]),
    ...(machine.tpm === null ? [] : tpmArguments(machine.tpm)),
    ...["-serial", "stdio"],
  ];
}

/** A machine that turned itself off stays, as QEMU would turn off the TPM too, and what it holds would be lost. */
function tpmArguments({ control, monitor }: NonNullable<Machine["tpm"]>): string[] {
  return [
    ...["-chardev", `socket,id=tpm,path=${value(control)}`],
    ...["-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm0"],
    ...["-no-shutdown", "-chardev", `socket,id=monitor,path=${value(monitor)}`, "-mon", "chardev=monitor,mode=control"],
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
export async function chooseAccelerator(wanted: Accelerator, qemu: string, env: Environment): Promise<"kvm" | "tcg"> {
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
