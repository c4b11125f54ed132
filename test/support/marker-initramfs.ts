/**
 * An initramfs that proves a boot: it prints SEALED-OK, the kernel's command line, whether Secure Boot is on, and where
 * there is a TPM what that says and the variables of Secure Boot, and powers off.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { cpioArchive, cpioDirectory, cpioProgram } from "./cpio.ts";

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
  for p in 4 7 11 12; do echo "PCR$p: $($b cat /sys/class/tpm/tpm0/pcr-sha256/$p)"; done
  # The kernel would write in between.
  $b dmesg -n 1
  echo "event log:"
  $b base64 /sys/kernel/security/tpm0/binary_bios_measurements
  echo "end of event log"
  for v in PK KEK db dbx SecureBoot; do
    for f in /sys/firmware/efi/efivars/$v-*; do [ -e "$f" ] && echo "efivar \${f##*/} $($b base64 -w 0 "$f")"; done
  done
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
  return cpioArchive([
    ...["bin", "dev", "proc", "sys"].map(cpioDirectory),
    cpioProgram("bin/busybox", readFileSync(busybox)),
    cpioProgram("efivarfs.ko", stdout),
    cpioProgram("init", Buffer.from(INIT)),
  ]);
}
