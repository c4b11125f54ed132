/**
 * The real bootc. Distributions ship it in releases of their own, so the one to ask is given:
 * SEAL_TEST_BOOTC=PREFIX/bin/bootc, with its initramfs program in PREFIX/lib/bootc, where bootc's `make install` puts
 * it. It runs in the tree that `test/peers/install` makes for it.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe } from "vitest";
import { cpioArchive, cpioDirectory, cpioProgram } from "./cpio.ts";
import { kernelModules, libraries, type RootSetup } from "./machine-image.ts";
import { describeWith, inTree, type Need, PEERS_DIR, peerTree, runPeer } from "./peers.ts";
import { runDirectly } from "./setup-machine.ts";
import { tempDir } from "./temp.ts";

const BOOTC = process.env["SEAL_TEST_BOOTC"] ?? "";
const INSTALLER = join(PEERS_DIR, "installer");

/** A describe block that is skipped where no bootc is given, or what it runs in is missing. */
export function describeBootc(needs: readonly Need[], title: string, body: () => void): void {
  if (BOOTC === "") describe.skip(`${title} (SEAL_TEST_BOOTC, the path of bootc, is not set)`, () => {});
  else if (!existsSync(INSTALLER)) describe.skip(`${title} (run test/peers/install with SEAL_TEST_BOOTC)`, () => {});
  else describeWith(needs, title, body);
}

/** A copy of a program of bootc's, where trees see it. */
function visible(program: string): string {
  const copy = join(tempDir(), "program");
  cpSync(program, copy);
  return copy;
}

/** Runs bootc. Paths in the arguments lie in /tmp. */
export function runBootc(...args: readonly string[]) {
  const [command = "", ...rest] = [...inTree(INSTALLER), visible(BOOTC), ...args];
  const { status, stdout, stderr, error } = spawnSync(command, rest, { encoding: "utf8", maxBuffer: 1 << 26 });
  if (error) throw error;
  return { status, stdout, stderr };
}

/** bootc's program for the initramfs. */
export const BOOTC_SETUP_ROOT: RootSetup = {
  command: "/usr/lib/bootc/initramfs-setup setup-root",
  files: () => {
    const program = join(dirname(BOOTC), "../lib/bootc/initramfs-setup");
    return [
      ...libraries(visible(program), INSTALLER),
      ...["usr", "usr/lib", "usr/lib/bootc"].map(cpioDirectory),
      cpioProgram("usr/lib/bootc/initramfs-setup", readFileSync(program)),
    ];
  },
};

const MODULES = [
  ...["virtio_blk", "netfs", "libcrc32c", "erofs", "overlay"],
  ...["fat", "vfat", "nls_ascii", "nls_cp437"],
] as const;

/** Starts the system on vda, with what it shall do on vdb. */
const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
for m in ${MODULES.join(" ")}; do insmod /modules/$m.ko; done
mount -t ext4 /dev/vda /sysroot && mount -t ext4 -o ro /dev/vdb /sysroot/mnt
for m in proc sys dev; do mount --move /$m /sysroot/$m; done
exec switch_root /sysroot /mnt/install
`;

/** The disk to install on is vdc. Without a container engine the image comes from a layout. */
const INSTALL = `#!/bin/sh
export PATH=/usr/sbin:/usr/bin HOME=/root
exec >/dev/console 2>&1 </dev/null
for d in tmp var/tmp run; do mount -t tmpfs tmpfs /$d; done
/usr/lib/systemd/systemd-udevd --daemon
udevadm trigger && udevadm settle
/mnt/bootc install to-disk --composefs-backend --bootloader systemd --filesystem ext4 --generic-image --wipe --skip-fetch-check \\
  --source-imgref oci:/mnt/layout:v --target-transport oci --target-imgref /mnt/layout:v /dev/vdc
echo "INSTALL-END $?"
sync
echo o >/proc/sysrq-trigger
sleep 60
`;

/**
 * Has bootc install an image onto a disk, in a machine without firmware.
 * @param layout with the image, its tag is `v`
 * @param disk a file of the disk's size
 * @returns what the console said
 */
export async function installWithBootc(layout: string, disk: string): Promise<string> {
  const cwd = tempDir();
  const work = join(cwd, "work");
  mkdirSync(work);
  cpSync(layout, join(work, "layout"), { recursive: true });
  cpSync(BOOTC, join(work, "bootc"));
  writeFileSync(join(work, "install"), INSTALL, { mode: 0o755 });
  const root = join(cwd, "root");
  const copied = spawnSync("cp", ["-a", INSTALLER, root], { encoding: "utf8" });
  if (copied.status !== 0) throw new Error(copied.stderr);
  const [rootDisk, workDisk] = [join(cwd, "root.img"), join(cwd, "work.img")];
  for (const [directory, image] of [
    [root, rootDisk],
    [work, workDisk],
  ] as const) {
    const made = runPeer("mkfs.ext4", ["-q", "-F", "-d", directory, image, "1G"]);
    if (made.status !== 0) throw new Error(made.stderr);
  }
  const initramfs = cpioArchive([
    ...["bin", "dev", "modules", "proc", "sys", "sysroot"].map(cpioDirectory),
    cpioProgram("bin/busybox", readFileSync(join(peerTree("trixie"), "usr/bin/busybox"))),
    ...kernelModules(MODULES),
    cpioProgram("init", Buffer.from(INIT)),
  ]);
  return await runDirectly(cwd, initramfs, [rootDisk, workDisk, disk], 400_000);
}
