/** The sample root filesystem of the demo: small, complete, and made anywhere without rights. */
import { copyFileSync, lutimesSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cpioOf } from "../../test/support/cpio.ts";

/** Of everything, in seconds. */
const MTIME = 1_700_000_000;
const KVER = "6.1.0-sample";

/** Stand-ins for what a distribution ships: valid PE files that boot nothing. They come from the test vectors. */
const STAND_INS: Readonly<Record<string, string>> = {
  [`usr/lib/modules/${KVER}/vmlinuz`]: "kernel",
  "usr/lib/systemd/boot/efi/linuxx64.efi.stub": "stub-plain",
  "usr/lib/systemd/boot/efi/systemd-bootx64.efi": "stub-plain",
};

const TEXTS: Readonly<Record<string, string>> = {
  "usr/lib/os-release": 'NAME="Seal sample"\nID=seal-sample\nVERSION_ID=1\nPRETTY_NAME="Seal sample 1"\n',
  "usr/lib/bootc/kargs.d/10-console.toml": 'kargs = ["console=ttyS0", "quiet"]\nmatch-architectures = ["x86_64"]\n',
  "usr/lib/ostree/prepare-root.conf": "[composefs]\nenabled = verity\n",
  "usr/share/doc/sample/README": `${"A file that is long enough to be stored by its digest. ".repeat(20)}\n`,
  "etc/hostname.d/README": "The host name is set at first boot.\n",
};

/** What an initramfs needs to mount a composefs root, as far as anybody can tell without starting it. */
const INITRAMFS = cpioOf({
  init: "#!/bin/sh\nexec composefs-setup-root\n",
  "usr/bin/composefs-setup-root": "A stand-in.\n",
});

const SYMLINKS: Readonly<Record<string, string>> = {
  "etc/os-release": "../usr/lib/os-release",
  ostree: "sysroot/ostree",
};

const DIRECTORIES = ["boot", "dev", "etc", "home", "proc", "run", "sys", "sysroot", "tmp", "var"];

/**
 * Writes the tree into a directory that doesn't exist yet. Every time is the same, so that every run
 * has the same digest.
 */
export function writeSampleTree(root: string): void {
  for (const directory of DIRECTORIES) mkdirSync(join(root, directory), { recursive: true });
  const vectors = fileURLToPath(new URL("../../test/vectors/uki/inputs", import.meta.url));
  const touched = new Set([root, ...DIRECTORIES.map((directory) => join(root, directory))]);
  const place = (path: string, write: (file: string) => void) => {
    const file = join(root, path);
    mkdirSync(dirname(file), { recursive: true });
    write(file);
    for (let at = file; at.length > root.length; at = dirname(at)) touched.add(at);
  };
  for (const [path, name] of Object.entries(STAND_INS)) place(path, (file) => copyFileSync(join(vectors, name), file));
  for (const [path, text] of Object.entries(TEXTS)) place(path, (file) => writeFileSync(file, text));
  place(`usr/lib/modules/${KVER}/initramfs.img`, (file) => writeFileSync(file, INITRAMFS));
  for (const [path, target] of Object.entries(SYMLINKS)) {
    symlinkSync(target, join(root, path));
    lutimesSync(join(root, path), MTIME, MTIME);
  }
  for (const path of touched) utimesSync(path, MTIME, MTIME);
}
