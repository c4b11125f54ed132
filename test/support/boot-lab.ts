/**
 * Machines to boot in tests: a small sealed tree with Debian's kernel, stub and boot loader, and what its console says.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { expect } from "vitest";
import { type BootTestReport, bootTestReportSchema } from "../../src/cli/boot-test/schema.ts";
import { type CliResult, seal } from "./cli.ts";
import { markerInitramfs } from "./marker-initramfs.ts";
import { PEERS_DIR, peerTree, realRootfs } from "./peers.ts";

/** What it needs. */
export const BOOT_NEEDS = ["rootfs", "trees", "qemu-system-x86_64", "swtpm", "mkfs.vfat", "mcopy", "mdeltree"] as const;

const EFI = "usr/lib/systemd/boot/efi";

export interface Booted {
  readonly code: number;
  readonly report: BootTestReport;
  /** What the serial console said. */
  readonly log: string;
}

export interface BootLab {
  /** Its working directory: keys in `keys` and `other`, `sealed/boot`, the unsigned `uki.efi`, firmware. */
  readonly cwd: string;
  /** Runs a verb that must succeed. */
  run(...args: readonly string[]): Promise<CliResult>;
  /** A copy of the sealed `/boot`. @returns its path */
  copyBoot(name: string): string;
  /** A `/boot` in which firmware starts a UKI by itself. @returns its path */
  directBoot(name: string, uki: Uint8Array): string;
  /** Boots a directory of the lab until its marker comes. The firmware is from the tree that QEMU runs in. */
  boot(directory: string, ...args: readonly string[]): Promise<Booted>;
  /** Boots a disk, of which it keeps the log beside it, in the same way. */
  bootDisk(disk: string, ...args: readonly string[]): Promise<Booted>;
  remove(): void;
}

/** Seals the tree, with systemd 257. */
export async function makeBootLab(): Promise<BootLab> {
  const cwd = mkdtempSync(join(tmpdir(), "seal-test-"));
  const run = async (...args: readonly string[]) => {
    const result = await seal(args, { cwd });
    expect(result.code, result.stderr).toBe(0);
    return result;
  };
  for (const name of ["OVMF_CODE_4M.secboot.fd", "OVMF_VARS_4M.fd"])
    cpSync(join(peerTree("trixie"), "usr/share/OVMF", name), join(cwd, name));
  makeRoot(join(cwd, "root"));
  for (const name of ["keys", "other"]) await run("keys", "generate", "--output", name);
  const keys = ["--key", "keys/db.key", "--cert", "keys/db.crt", "--enroll-keys", "keys"];
  await run("rootfs", "root", ...keys, "--output", "sealed");
  await run("build-uki", "--rootfs", "root", "--output", "uki.efi");
  return {
    cwd,
    run,
    copyBoot: (name) => {
      cpSync(join(cwd, "sealed/boot"), join(cwd, name), { recursive: true });
      return join(cwd, name);
    },
    directBoot: (name, uki) => {
      mkdirSync(join(cwd, name, "EFI/BOOT"), { recursive: true });
      writeFileSync(join(cwd, name, "EFI/BOOT/BOOTX64.EFI"), uki);
      return join(cwd, name);
    },
    boot: (directory, ...args) => bootLab(cwd, [directory], `${directory}.log`, args),
    bootDisk: (disk, ...args) => bootLab(cwd, ["--disk", disk, "--allow-missing-verity"], `${disk}.log`, args),
    remove: () => rmSync(cwd, { recursive: true, force: true }),
  };
}

/** systemd's EFI programs as Debian brings them. */
export function efiProgram(suite: "trixie" | "sid", name: string): string {
  return join(peerTree(suite), EFI, name);
}

function makeRoot(root: string): void {
  const source = realRootfs() ?? "";
  const [version = ""] = readdirSync(join(source, "usr/lib/modules"));
  const modules = join("usr/lib/modules", version);
  for (const name of ["boot", "sysroot", modules, EFI, "usr/lib/bootc/kargs.d"])
    mkdirSync(join(root, name), { recursive: true });
  for (const path of [`${modules}/vmlinuz`, "usr/lib/os-release"])
    cpSync(join(source, path), join(root, path), { dereference: true });
  for (const name of ["linuxx64.efi.stub", "systemd-bootx64.efi"])
    cpSync(efiProgram("trixie", name), join(root, EFI, name), { dereference: true });
  const busybox = join(peerTree("trixie"), "usr/bin/busybox");
  writeFileSync(join(root, modules, "initramfs.img"), markerInitramfs(busybox, join(source, modules)));
  writeFileSync(join(root, "usr/lib/bootc/kargs.d/10-quiet.toml"), 'kargs = ["quiet"]\n');
}

/** The UKI of a `/boot`, which has one. */
export function ukiIn(boot: string): string {
  return join(boot, "EFI/Linux", readdirSync(join(boot, "EFI/Linux"))[0] ?? "");
}

async function bootLab(cwd: string, subject: readonly string[], log: string, args: readonly string[]): Promise<Booted> {
  const machine = ["--accel", "tcg", "--cpu", "qemu64", "--memory", "512", "--timeout", "110"];
  const firmware = ["--firmware-code", "OVMF_CODE_4M.secboot.fd", "--firmware-vars", "OVMF_VARS_4M.fd"];
  const output = ["--expect", "SEALED-END", "--keep-log", log, "--json"];
  const { code, stdout, stderr } = await seal(["boot-test", ...subject, ...machine, ...firmware, ...output, ...args], {
    cwd,
    env: { PATH: `${join(PEERS_DIR, "bin")}${delimiter}${process.env["PATH"]}` },
  });
  expect(stdout, stderr).not.toBe("");
  return {
    code,
    report: bootTestReportSchema.parse(JSON.parse(stdout)),
    log: readFileSync(join(cwd, log), "utf8").replaceAll("\r", ""),
  };
}

/** The event log that the marker initramfs printed. */
export function printedEventLog({ log }: Booted): Uint8Array {
  const text = /^event log:\n([A-Za-z0-9+/=\n]+)\nend of event log$/m.exec(log)?.[1];
  if (text === undefined) throw new Error("no event log on the console");
  return Uint8Array.from(Buffer.from(text, "base64"));
}

/** Writes what the marker initramfs printed of efivarfs to a directory: the same files. */
export function writePrintedEfivars({ log }: Booted, directory: string): void {
  mkdirSync(directory);
  for (const [, name = "", text = ""] of log.matchAll(/^efivar (\S+) ([A-Za-z0-9+/=]+)$/gm)) {
    writeFileSync(join(directory, name), Buffer.from(text, "base64"));
  }
}

/** PCR 4, 7, 11 and 12 of the SHA-256 bank, as the marker initramfs printed them. */
export function printedPcrs({ log }: Booted): string[] {
  return [...log.matchAll(/^PCR\d+: ([0-9A-F]{64})$/gm)].map(([, value = ""]) => value.toLowerCase());
}
