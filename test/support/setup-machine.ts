/** A machine without firmware that does with a disk what an installer does: cfsctl on a kernel that has fs-verity. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { cpioArchive, cpioDirectory, cpioProgram } from "./cpio.ts";
import { kernelModules, libraries, machineKernel } from "./machine-image.ts";
import { findPeer, machineRootfs, peerTree, runPeer } from "./peers.ts";

const MODULES = [
  "virtio_blk",
  "netfs",
  "libcrc32c",
  "erofs",
  "overlay",
  "fat",
  "vfat",
  "nls_ascii",
  "nls_cp437",
] as const;

/** The disk is vda: its first partition is mounted on /boot, its second on /sysroot. */
const init = (script: string) => `#!/bin/busybox sh
export PATH=/bin HOME=/ TMPDIR=/tmp
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmpfs /tmp
for m in ${MODULES.join(" ")}; do insmod /modules/$m.ko; done
mount -t ext4 /dev/vda2 /sysroot && mount -t vfat /dev/vda1 /boot && mount -t ext4 -o ro /dev/vdb /layout
set -e
trap 'echo "SETUP-END $?"; umount /boot /sysroot; poweroff -f' EXIT
${script}
`;

/**
 * Runs a script beside the partitions of a disk, with a layout at /layout.
 * @param directory an existing one below /tmp
 * @returns what the console said
 */
export async function runSetup(directory: string, disk: string, layout: string, script: string): Promise<string> {
  const layoutDisk = join(directory, "layout.img");
  const program = findPeer("cfsctl") ?? "";
  const archive = cpioArchive([
    ...["bin", "boot", "dev", "layout", "modules", "proc", "sys", "sysroot", "tmp"].map(cpioDirectory),
    cpioProgram("bin/busybox", readFileSync(join(peerTree("trixie"), "usr/bin/busybox"))),
    cpioProgram("bin/cfsctl", readFileSync(program)),
    ...libraries(program),
    ...kernelModules(MODULES),
    cpioProgram("init", Buffer.from(init(script))),
  ]);
  const made = runPeer("mkfs.ext4", ["-q", "-F", "-d", layout, layoutDisk, "512M"]);
  if (made.status !== 0) throw new Error(made.stderr);
  return await runDirectly(directory, archive, [disk, layoutDisk], 600_000);
}

/**
 * Runs a kernel with an initramfs until the machine is off.
 * @param directory an existing one below /tmp
 * @param disks files, vda first
 * @returns what the console said
 */
export async function runDirectly(
  directory: string,
  archive: Uint8Array,
  disks: readonly string[],
  timeout: number,
): Promise<string> {
  const initramfs = join(directory, "setup-initramfs");
  writeFileSync(initramfs, archive);
  const kernel = join(directory, "vmlinuz");
  writeFileSync(kernel, readFileSync(join(machineRootfs() ?? "", "usr/lib/modules", machineKernel(), "vmlinuz")));
  const drives = disks.flatMap((file, at) => [
    ...["-drive", `if=none,id=disk${at},format=raw,file=${file}`, "-device", `virtio-blk-pci,drive=disk${at}`],
  ]);
  const { stdout } = await execa(
    findPeer("qemu-system-x86_64") ?? "",
    [
      ...["-machine", "q35,accel=tcg", "-cpu", "qemu64", "-m", "1024", "-nodefaults", "-display", "none", "-no-reboot"],
      ...["-kernel", kernel, "-initrd", initramfs, "-append", "console=ttyS0 quiet panic=-1"],
      ...[...drives, "-serial", "stdio"],
    ],
    { cwd: directory, stdin: "ignore", timeout, reject: false },
  );
  return stdout.replaceAll("\r", "");
}
