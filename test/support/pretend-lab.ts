/** A place to run boot-test in, with programs that only pretend. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tempDir } from "./temp.ts";
import { usedStore } from "./variable-store.ts";
import { vector } from "./vectors.ts";

/** Options for the firmware that lies there. */
export const LAB_FIRMWARE = ["--firmware-code", "code.fd", "--firmware-vars", "vars.fd", "--accel", "tcg"];

/**
 * A directory with out/boot, db.crt, firmware, and in bin programs that pretend. QEMU notes its
 * arguments and its process.
 */
export function pretendLab(qemu: string): string {
  const cwd = tempDir();
  for (const path of ["bin", "tmp", "out/boot/EFI/BOOT", "out/boot/loader"])
    mkdirSync(join(cwd, path), { recursive: true });
  writeFileSync(join(cwd, "out/boot/EFI/BOOT/BOOTX64.EFI"), "MZ");
  writeFileSync(join(cwd, "db.crt"), vector("authenticode/keys/signer.crt"));
  writeFileSync(join(cwd, "code.fd"), "");
  writeFileSync(join(cwd, "vars.fd"), usedStore());
  const script = `printf '%s\\n' "$@" >'${cwd}/arguments'; echo $$ >'${cwd}/pid'; ${qemu}`;
  const programs = { "qemu-system-x86_64": script, "mkfs.vfat": "", mcopy: "", mdeltree: "" };
  for (const [name, body] of Object.entries(programs)) {
    writeFileSync(join(cwd, "bin", name), `#!/bin/sh\n${body}\n`);
    chmodSync(join(cwd, "bin", name), 0o755);
  }
  return cwd;
}

/** With those programs before all others. */
export const pretendEnvironment = (cwd: string) => ({ PATH: `${join(cwd, "bin")}:${process.env["PATH"]}` });
