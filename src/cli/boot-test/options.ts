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
  boot: path({ default: ".", complete: "directory", help: "a /boot, or a directory with one in it" }),
};

const NOTHING_ENROLLED = "nothing is enrolled beforehand with --setup-mode or --no-secure-boot";
const ONE_SUBJECT = "give a /boot, an image or a disk, one of them";
const notEnrolled = { setupMode: NOTHING_ENROLLED, secureBoot: NOTHING_ENROLLED };
const line = () => z.string().regex(/^[^\r\n]+$/, "give a text within one line");

const subjects = optionGroup("Whole systems", {
  from: parsed(parseRootfsSource, {
    problem: "give a path",
    placeholder: "image",
    complete: "file",
    help: "install a sealed image on a new disk and boot that: oci:PATH[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE, …",
    excludes: { boot: ONE_SUBJECT },
  }),
  disk: path({ help: "boot a disk, which is not written to", excludes: { boot: ONE_SUBJECT } }),
  keepDisk: path({
    risk: writes,
    help: "keep the disk that --from makes",
    requires: { anyOf: ["from"], problem: "only --from makes a disk" },
  }),
  ukiAddon: text({
    many: true,
    placeholder: "name",
    problem: "give the name of an addon",
    help: "install this addon of the UKI too, as bootc install --uki-addon does it; without .addon.efi; repeatable",
    requires: { anyOf: ["from"], problem: "only --from installs something" },
  }),
  allowMissingVerity: flag({
    help: "pass also when the running root does not enforce fs-verity, or does not say so",
    requires: { anyOf: ["from", "disk"], problem: "only with --from or --disk a root filesystem is mounted" },
  }),
});

const keys = optionGroup("Secure Boot", {
  enroll: path({
    complete: "directory",
    aliases: ["--enroll-keys"],
    help: "directory with PK.auth, KEK.auth, db.auth (and dbx.auth): what the firmware trusts",
    excludes: notEnrolled,
  }),
  // May stand in seal.toml for other verbs, whatever the mode.
  cert: path({ many: true, env: true, help: "certificate for db, for PK and KEK too without --enroll; repeatable" }),
  dbx: path({
    many: true,
    help: "what may not start: certificates, signature lists, .auth or EFI programs; repeatable",
    excludes: notEnrolled,
  }),
  setupMode: flag({
    help: "start without keys; systemd-boot must enrol them and reset; with --from the default where no keys are given",
    excludes: { secureBoot: "it and --no-secure-boot exclude each other" },
  }),
  secureBoot: off({ help: "start without keys, and let nothing enrol any" }),
});

const watching = optionGroup(null, {
  expect: value(line, {
    placeholder: "text",
    help: "text on the serial console that proves that the image runs",
    shownDefault: "the kernel starts; of a whole system, the default target is reached",
  }),
  timeout: count({
    min: 1,
    max: 999_999,
    of: "seconds",
    placeholder: "seconds",
    default: 120,
    help: "how long it may take",
  }),
  swtpm: flag({
    help: "give the machine a TPM, and compare PCR 4, 7, 11 and 12 with what seal measure --reference computes",
  }),
  keepLog: path({ risk: writes, help: "write all that the serial console said" }),
  ...htmlOptions.declarations,
  json: flag({ help: "print the result as JSON" }),
});

const machine = optionGroup("Virtual machine", {
  kernelArguments: text({
    placeholder: "text",
    help: "what systemd-stub adds to the command line in the UKI; empty for nothing",
    shownDefault: "console=ttyS0, a loglevel, and for whole systems systemd.show_status",
  }),
  arch: choice(MACHINE_ARCHES, { placeholder: "arch", default: "x64", help: "architecture of the machine" }),
  accel: choice(ACCELERATORS, { placeholder: "how", default: "auto", help: "kvm, tcg (emulation) or auto" }),
  cpu: text({ placeholder: "model", default: "max", problem: "give a CPU model", help: "CPU model of QEMU" }),
  memory: count({ min: 1, max: 999_999, of: "MiB", placeholder: "mib", default: 1024, help: "memory" }),
  qemu: path({
    env: true,
    risk: "names a program to be run",
    placeholder: "program",
    help: "QEMU",
    shownDefault: "the one for the architecture",
  }),
  firmwareCode: path({
    env: true,
    help: "OVMF with Secure Boot and SMM, or AAVMF with Secure Boot",
    shownDefault: "the one that is installed",
  }),
  firmwareVars: path({ env: true, help: "its variable store, empty", shownDefault: "the one that is installed" }),
});

export const bootTestOptions = subjects.and(keys).and(watching).and(machine).and(registryOptions);

export type BootTestOptions = VerbValues<typeof BOOT_TEST_ARGUMENTS, typeof bootTestOptions>;

/** How the machine starts. An image that is installed on an empty machine brings its own keys, unless others are given. */
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
    "--enroll: give the directory of keys that signed it, or a certificate with --cert; or --setup-mode, or --no-secure-boot",
  );
}
