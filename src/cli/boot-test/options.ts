/** The options of `boot-test`. */
import { z } from "zod";
import { MACHINE_ARCHES } from "../../io/vm/machine-types.ts";
import { ACCELERATORS } from "../../io/vm/qemu.ts";
import type { OptionSpec } from "../command.ts";

const path = z.string().min(1, "give a path");
const number = (text: string) =>
  z
    .string()
    .regex(/^[1-9]\d{0,5}$/, text)
    .transform(Number);

export const bootTestOptions = z
  .object({
    boot: path.optional(),
    from: path.optional(),
    disk: path.optional(),
    keepDisk: path.optional(),
    allowMissingVerity: z.boolean().default(false),
    enroll: path.optional(),
    cert: z.array(path).default([]),
    dbx: z.array(path).default([]),
    setupMode: z.boolean().default(false),
    secureBoot: z.boolean().default(true),
    expect: z
      .string()
      .regex(/^[^\r\n]+$/, "give a text within one line")
      .optional(),
    timeout: number("give seconds, a whole number").default(120),
    kernelArguments: z
      .string()
      .refine((text) => !text.includes("\0"), "has a NUL")
      .optional(),
    accel: z.enum(ACCELERATORS).default("auto"),
    cpu: z.string().min(1, "give a CPU model").default("max"),
    memory: number("give MiB, a whole number").default(1024),
    arch: z.enum(MACHINE_ARCHES).default("x64"),
    qemu: path.optional(),
    firmwareCode: path.optional(),
    firmwareVars: path.optional(),
    keepLog: path.optional(),
    swtpm: z.boolean().default(false),
    json: z.boolean().default(false),
  })
  .refine(
    ({ boot, from, disk }) => [boot, from, disk].filter((subject) => subject !== undefined).length <= 1,
    "--from, --disk: give a /boot, an image or a disk, one of them",
  )
  .refine(({ from, keepDisk }) => keepDisk === undefined || from !== undefined, "--keep-disk: only --from makes a disk")
  .refine(
    ({ from, disk, allowMissingVerity }) => !allowMissingVerity || from !== undefined || disk !== undefined,
    "--allow-missing-verity: only with --from or --disk a root filesystem is mounted",
  )
  .refine(
    ({ setupMode, secureBoot }) => !setupMode || secureBoot,
    "--setup-mode and --no-secure-boot exclude each other",
  )
  .refine(
    ({ setupMode, secureBoot, enroll, cert }) => setupMode || !secureBoot || enroll !== undefined || cert.length > 0,
    "--enroll: give the directory of keys that signed it, or a certificate with --cert; or --setup-mode, or --no-secure-boot",
  )
  .refine(
    // A certificate may stand in seal.toml for other verbs.
    ({ setupMode, secureBoot, enroll, dbx }) =>
      (secureBoot && !setupMode) || (enroll === undefined && dbx.length === 0),
    "--enroll, --dbx: nothing is enrolled beforehand with --setup-mode or --no-secure-boot",
  );
export type BootTestOptions = z.infer<typeof bootTestOptions>;

const KEYS = "Secure Boot";
const MACHINE = "Virtual machine";

const DISK = "Whole systems";

export const BOOT_TEST_OPTIONS: readonly OptionSpec[] = [
  {
    flags: "--from <image>",
    description:
      "install a sealed image on a new disk and boot that: oci:PATH[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE, …",
    group: DISK,
    complete: "file",
  },
  { flags: "--disk <file>", description: "boot a disk, which is not written to", group: DISK, complete: "file" },
  { flags: "--keep-disk <file>", description: "keep the disk that --from makes", group: DISK, complete: "file" },
  {
    flags: "--allow-missing-verity",
    description: "pass also when the running root does not enforce fs-verity, or does not say so",
    group: DISK,
  },
  {
    flags: "--enroll <dir>",
    description: "directory with PK.auth, KEK.auth, db.auth (and dbx.auth): what the firmware trusts",
    group: KEYS,
    aliases: ["--enroll-keys"],
    complete: "directory",
  },
  {
    flags: "--cert <file...>",
    description: "certificate for db, for PK and KEK too without --enroll; repeatable",
    group: KEYS,
    complete: "file",
  },
  {
    flags: "--dbx <file...>",
    description: "what may not start: certificates, signature lists, .auth or EFI programs; repeatable",
    group: KEYS,
    complete: "file",
  },
  { flags: "--setup-mode", description: "start without keys; systemd-boot must enrol them and reset", group: KEYS },
  { flags: "--no-secure-boot", description: "start without keys, and let nothing enrol any", group: KEYS },
  {
    flags: "--expect <text>",
    description: "text on the serial console that proves that the image runs",
    default: "the kernel starts; of a whole system, the default target is reached",
  },
  { flags: "--timeout <seconds>", description: "how long it may take", default: "120" },
  {
    flags: "--swtpm",
    description: "give the machine a TPM, and compare PCR 4, 7, 11 and 12 with what seal measure --reference computes",
  },
  { flags: "--keep-log <file>", description: "write all that the serial console said", complete: "file" },
  { flags: "--json", description: "print the result as JSON" },
  {
    flags: "--kernel-arguments <text>",
    description: "what systemd-stub adds to the command line in the UKI; empty for nothing",
    default: "console=ttyS0, a loglevel, and for whole systems systemd.show_status",
    group: MACHINE,
  },
  {
    flags: "--arch <arch>",
    description: "architecture of the machine",
    default: "x64",
    group: MACHINE,
    complete: MACHINE_ARCHES,
  },
  {
    flags: "--accel <how>",
    description: "kvm, tcg (emulation) or auto",
    default: "auto",
    group: MACHINE,
    complete: ACCELERATORS,
  },
  { flags: "--cpu <model>", description: "CPU model of QEMU", default: "max", group: MACHINE },
  { flags: "--memory <mib>", description: "memory", default: "1024", group: MACHINE },
  {
    flags: "--qemu <program>",
    description: "QEMU",
    default: "the one for the architecture",
    group: MACHINE,
    complete: "file",
  },
  {
    flags: "--firmware-code <file>",
    description: "OVMF with Secure Boot and SMM, or AAVMF with Secure Boot",
    default: "the one that is installed",
    group: MACHINE,
    complete: "file",
  },
  {
    flags: "--firmware-vars <file>",
    description: "its variable store, empty",
    default: "the one that is installed",
    group: MACHINE,
    complete: "file",
  },
];
