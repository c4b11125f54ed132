/** An initramfs that proves a boot: it prints SEALED-OK, the kernel's command line and whether Secure Boot is on, and powers off. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const REGULAR = 0o100_755;
const DIRECTORY = 0o040_755;

const INIT = `#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sysfs /sys; $b mount -t devtmpfs dev /dev
$b insmod /efivarfs.ko
$b mount -t efivarfs efivarfs /sys/firmware/efi/efivars
echo SEALED-OK
echo "cmdline: $($b cat /proc/cmdline)"
echo "SecureBoot:$($b od -An -tx1 /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c)"
if [ -e /sys/class/tpm/tpm0 ]; then
  $b mount -t securityfs securityfs /sys/kernel/security
  for p in 4 7 11; do echo "PCR$p: $($b cat /sys/class/tpm/tpm0/pcr-sha256/$p)"; done
  echo "event log:"
  $b base64 /sys/kernel/security/tpm0/binary_bios_measurements
  echo "end of event log"
fi
echo SEALED-END
$b poweroff -f
`;

/**
 * @param busybox path of a static busybox
 * @param modules `usr/lib/modules/VERSION` of the kernel, which has efivarfs as a module
 */
export function markerInitramfs(busybox: string, modules: string): Buffer {
  const { stdout, status } = spawnSync("xz", ["-dc", join(modules, "kernel/fs/efivarfs/efivarfs.ko.xz")], {
    maxBuffer: 1 << 24,
  });
  if (status !== 0) throw new Error("efivarfs.ko.xz can't be unpacked");
  const files: readonly (readonly [string, number, Uint8Array])[] = [
    ...["bin", "dev", "proc", "sys"].map((name) => [name, DIRECTORY, Buffer.alloc(0)] as const),
    ["bin/busybox", REGULAR, readFileSync(busybox)],
    ["efivarfs.ko", REGULAR, stdout],
    ["init", REGULAR, Buffer.from(INIT)],
    ["TRAILER!!!", 0, Buffer.alloc(0)],
  ];
  return Buffer.concat(files.flatMap(([name, mode, content], index) => entry(index + 1, name, mode, content)));
}

/** A file in the cpio format "newc" (Linux Documentation/driver-api/early-userspace/buffer-format.rst). */
function entry(inode: number, name: string, mode: number, content: Uint8Array): Uint8Array[] {
  const path = Buffer.from(`${name}\0`);
  const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, path.length, 0];
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`);
  return [header, path, padding(header.length + path.length), content, padding(content.length)];
}

function padding(length: number): Uint8Array {
  return Buffer.alloc(-length & 3);
}
