/** A small directory with everything that the verbs of seal take, and what a refusal must look like. */
import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "vitest";
import type { CliResult } from "./cli.ts";
import { tempDir } from "./temp.ts";
import { vector } from "./vectors.ts";

export const KVER = "6.1-test";
export const MODULES = "usr/lib/modules";
export const EFI = "usr/lib/systemd/boot/efi";
export const SIGNING = ["--key", "db.key", "--cert", "db.crt"];

export function write(base: string, path: string, bytes: Uint8Array | string): void {
  mkdirSync(dirname(join(base, path)), { recursive: true });
  writeFileSync(join(base, path), bytes);
}

/**
 * A directory with the root filesystem `root`, small but complete, the UKI `uki.efi`, the signed `signed.efi`,
 * keys `db` and `other`.
 */
export function makeInputs(): string {
  const cwd = tempDir();
  const root = join(cwd, "root");
  for (const name of ["boot", "sysroot", "etc", "var", "run", "tmp"]) mkdirSync(join(root, name), { recursive: true });
  write(root, `${MODULES}/${KVER}/vmlinuz`, vector("uki/inputs/kernel"));
  write(root, `${MODULES}/${KVER}/initramfs.img`, vector("uki/inputs/initrd-2"));
  write(root, "usr/lib/os-release", "ID=test\n");
  write(root, `${EFI}/linuxx64.efi.stub`, vector("uki/inputs/stub-plain"));
  write(root, `${EFI}/systemd-bootx64.efi`, vector("uki/inputs/stub-plain"));
  write(cwd, "uki.efi", vector("uki/outputs/all.262.efi.gz"));
  write(cwd, "signed.efi", vector("authenticode/signed/plain.sbsign.signer.efi.gz"));
  for (const [name, source] of [
    ["db", "signer"],
    ["other", "other"],
  ] as const) {
    for (const kind of ["key", "crt"]) write(cwd, `${name}.${kind}`, vector(`authenticode/keys/${source}.${kind}`));
  }
  return cwd;
}

/** Everything below a directory: paths with permissions and a hash of the content. */
export function snapshot(path: string): string[] {
  const entries = readdirSync(path, { recursive: true, withFileTypes: true });
  return entries
    .map((entry) => {
      const full = join(entry.parentPath, entry.name);
      const content = entry.isFile() ? createHash("sha256").update(readFileSync(full)).digest("hex") : "";
      return `${full} ${lstatSync(full).mode.toString(8)} ${content}`;
    })
    .sort();
}

/** One line on standard error, nothing on standard output. */
export function expectRefusal(result: Omit<CliResult, "stdoutBytes">, code: number, message: RegExp): void {
  expect(result.stderr).toMatch(/^seal: [^\n]+\n$/);
  expect(result.stderr).toMatch(message);
  expect(result).toMatchObject({ code, stdout: "" });
}
