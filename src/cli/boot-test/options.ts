/** The options of `boot-test`. */

import { z } from "zod";
import { SealError } from "../../errors.ts";
import { parseRootfsSource } from "../../io/rootfs-source.ts";
import { MACHINE_ARCHES } from "../../io/vm/machine-types.ts";
import { ACCELERATORS } from "../../io/vm/qemu.ts";
import { optionGroup, type VerbValues } from "../options/group.ts";
import { htmlOptions } from "../options/html.ts";
import { choice, count, flag, off, parsed, path, text, value } from "../options/option.ts";
import { registryOptions } from "../options/registry.ts";
import { writes } from "../options/risk.ts";
import type { SecureBootMode } from "./firmware.ts";

export const BOOT_TEST_ARGUMENTS = {
  boot: path({ default: ".", complete: "directory", help: "a /boot, or a directory that contains one" }),
};

const NOTHING_ENROLLED = "--setup-mode and --no-secure-boot enrol nothing beforehand";
const ONE_SUBJECT = "give only one of a /boot, an image or a disk";
const notEnrolled = { setupMode: NOTHING_ENROLLED, secureBoot: NOTHING_ENROLLED };
const line = () => z.string().regex(/^[^\r\n]+$/, "give a text without line breaks");

const subjects = optionGroup("Whole systems", {
  from: parsed(parseRootfsSource, {
    problem: "give a path",
    placeholder: "image",
    complete: "file",
    help: "install a sealed image on a new disk and boot it: oci:PATH[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE, …",
    excludes: { boot: ONE_SUBJECT },
  }),
  disk: path({ help: "boot this disk image read-only", excludes: { boot: ONE_SUBJECT } }),
  keepDisk: path({
    risk: writes,
    help: "keep the disk that --from creates",
    requires: { anyOf: ["from"], problem: "only --from creates a disk" },
  }),
  ukiAddon: text({
    many: true,
    placeholder: "name",
    problem: "give the name of an addon",
    help: "also install this UKI addon, like bootc install --uki-addon; name without .addon.efi; repeatable",
    requires: { anyOf: ["from"], problem: "only --from installs an image" },
  }),
  allowMissingVerity: flag({
    help: "also pass if the running root does not enforce fs-verity or does not report it",
    requires: { anyOf: ["from", "disk"], problem: "a root filesystem is mounted with --from or --disk only" },
  }),
});

const keys = optionGroup("Secure Boot", {
  enroll: path({
    complete: "directory",
    aliases: ["--enroll-keys"],
    help: "enrol PK.auth, KEK.auth, db.auth (and dbx.auth) from this directory into the firmware",
    excludes: notEnrolled,
  }),
  // May be in seal.toml for other verbs, whatever the mode.
  cert: path({
    many: true,
    env: true,
    help: "enrol this certificate in db, and without --enroll also as PK and KEK; repeatable",
  }),
  dbx: path({
    many: true,
    help: "revoke: certificates, signature lists, .auth or EFI programs; repeatable",
    excludes: notEnrolled,
  }),
  setupMode: flag({
    help: "start with no keys enrolled; systemd-boot must enrol those in loader/keys/auto and reset (the default with --from if no keys are given)",
    excludes: { secureBoot: "cannot be combined with --no-secure-boot" },
  }),
  secureBoot: off({ help: "boot with no keys enrolled, and enrol none" }),
});

const watching = optionGroup(null, {
  expect: value(line, {
    placeholder: "text",
    help: "text on the serial console that proves the image runs",
    shownDefault: "the kernel starts; for whole systems, the default target is reached",
  }),
  timeout: count({
    min: 1,
    max: 999_999,
    of: "seconds",
    placeholder: "seconds",
    default: 120,
    help: "time limit for the boot",
  }),
  swtpm: flag({
    help: "add a TPM, and compare PCR 4, 7, 11 and 12 with the prediction of seal measure --reference",
  }),
  keepLog: path({ risk: writes, help: "write the whole serial console log to this file" }),
  ...htmlOptions.declarations,
  json: flag({ help: "print the result as JSON" }),
});

const machine = optionGroup("Virtual machine", {
  kernelArguments: text({
    placeholder: "text",
    help: "arguments that systemd-stub appends to the UKI's command line; empty for none",
    shownDefault: "console=ttyS0, a loglevel, and for whole systems systemd.show_status",
  }),
  arch: choice(MACHINE_ARCHES, {
    placeholder: "arch",
    default: "x64",
    help: "architecture of the machine: x64 or aa64",
  }),
  accel: choice(ACCELERATORS, {
    placeholder: "how",
    default: "auto",
    help: "accelerator: kvm, tcg (emulation) or auto",
  }),
  cpu: text({ placeholder: "model", default: "max", problem: "give a CPU model", help: "CPU model of QEMU" }),
  memory: count({ min: 1, max: 999_999, of: "MiB", placeholder: "mib", default: 1024, help: "memory in MiB" }),
  qemu: path({
    env: true,
    risk: "names a program to run",
    placeholder: "program",
    help: "QEMU",
    shownDefault: "the one for this architecture",
  }),
  firmwareCode: path({
    env: true,
    help: "firmware: OVMF with Secure Boot and SMM, or AAVMF with Secure Boot",
    shownDefault: "the installed one",
  }),
  firmwareVars: path({ env: true, help: "empty variable store of that firmware", shownDefault: "the installed one" }),
});

export const bootTestOptions = subjects.and(keys).and(watching).and(machine).and(registryOptions);

export type BootTestOptions = VerbValues<typeof BOOT_TEST_ARGUMENTS, typeof bootTestOptions>;

/**
 * How the machine starts. An image that is installed on an empty machine brings its own keys, unless others are given.
 */
export function secureBootMode({ setupMode, secureBoot, from, enroll, cert, dbx }: BootTestOptions): SecureBootMode {
  if (!secureBoot) return "off";
  const given = enroll !== undefined || cert.length > 0 || dbx.length > 0;
  return setupMode || (from !== undefined && !given) ? "setup" : "enforced";
}

/** @throws SealError `usage` where it is not clear what is booted, or who must have signed it */
export function checkBootTest(options: BootTestOptions): void {
  const { from, disk, enroll, cert } = options;
  if (from !== undefined && disk !== undefined) {
    throw new SealError("usage", `--from, --disk: ${ONE_SUBJECT}`);
  }
  if (secureBootMode(options) !== "enforced" || enroll !== undefined || cert.length > 0) return;
  throw new SealError(
    "usage",
    "--enroll: give the directory of the keys that signed it, a certificate with --cert, --setup-mode or --no-secure-boot",
  );
}
