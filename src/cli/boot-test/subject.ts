/** What `boot-test` boots: the EFI system partition of a `/boot`, a disk made of an image, or a disk that is there. */
import { rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { inputError } from "../../errors.ts";
import { inPlaceOf } from "../../io/files.ts";
import { checkImage } from "../../io/oci/export-layout.ts";
import type { RootfsSource } from "../../io/rootfs-source.ts";
import { locatePrograms, missingTools } from "../../io/vm/boot-tools.ts";
import { makeEsp } from "../../io/vm/esp.ts";
import { type Firmware, MACHINE_TYPES } from "../../io/vm/machine-types.ts";
import { checkReadable } from "../../io/vm/qemu.ts";
import type { ReadProgram } from "../../lint/boot-programs.ts";
import { type Context, userPath } from "../context.ts";
import { chooseFirmware, type SecureBootMode } from "./firmware.ts";
import { DISK_PROGRAMS, IMAGE_BOOT, makeImageDisk } from "./image-disk.ts";
import type { BootTestOptions } from "./options.ts";
import type { BootTestReport } from "./schema.ts";

/** A disk to boot. */
export interface BootSubject {
  /** What it was made of. */
  readonly name: string;
  /** A directory with what its EFI system partition has; null for a disk that was there. */
  readonly boot: string | null;
  /** Path of the image, which is not written to. */
  readonly disk: string;
  readonly image: BootTestReport["image"];
  /** The boot loader that came out of an image, whose signatures can be looked at; null without an image. */
  readonly loader: ReadProgram | null;
  /** Whether it stays when the test is over. */
  readonly kept: boolean;
}

/** What runs the machine, by absolute path. */
export interface MachineTools {
  readonly qemu: string;
  /** Null: the machine has no TPM. */
  readonly swtpm: string | null;
  readonly firmware: Firmware;
}

export interface PreparedSubject {
  readonly tools: MachineTools;
  /** Makes the disk. @param directory for what is needed until the machine is off */
  readonly make: (directory: string) => Promise<BootSubject>;
}

const ESP_PROGRAMS = { "mkfs.vfat": "mkfs.vfat", mcopy: "mcopy", mdeltree: "mdeltree" } as const;

/**
 * Checks what can be checked before anything is made.
 * @throws SealError `input` for what can't be booted, `external` for programs that are missing
 */
export async function prepareSubject(
  context: Context,
  options: BootTestOptions,
  mode: SecureBootMode,
): Promise<PreparedSubject> {
  if (options.disk !== undefined) return preparedDisk(context, options, userPath(context, options.disk));
  if (options.from !== undefined) return preparedImage(context, options, options.from, mode);
  return preparedBoot(context, options, mode);
}

/**
 * Finds what makes the disk and what runs the machine, all of it at once: who lacks some of it installs it in one go.
 * @param programs that make the disk
 */
async function findTools<Key extends string>(
  context: Context,
  options: BootTestOptions,
  programs: Readonly<Record<Key, string>>,
): Promise<{ readonly machine: MachineTools; readonly disk: Record<Key, string> }> {
  const { env, cwd } = context.process;
  const type = MACHINE_TYPES[options.arch];
  const firmware = await chooseFirmware(context, options);
  const machine = await locatePrograms({ qemu: options.qemu ?? type.qemu }, env, cwd);
  const tpm = options.swtpm ? await locatePrograms({ swtpm: "swtpm" }, env, cwd) : null;
  const disk = await locatePrograms(programs, env, cwd);
  const missing = [...machine.missing, ...(tpm?.missing ?? []), ...disk.missing];
  if (firmware === null) throw missingTools([...missing, type.firmwareName]);
  if (missing.length > 0) throw missingTools(missing);
  return { machine: { qemu: machine.found.qemu, swtpm: tpm?.found.swtpm ?? null, firmware }, disk: disk.found };
}

async function preparedDisk(context: Context, options: BootTestOptions, disk: string): Promise<PreparedSubject> {
  await checkReadable(disk);
  const { machine } = await findTools(context, options, {});
  return {
    tools: machine,
    make: async () => ({ name: disk, boot: null, disk, image: null, loader: null, kept: true }),
  };
}

async function preparedImage(
  context: Context,
  options: BootTestOptions,
  given: RootfsSource,
  mode: SecureBootMode,
): Promise<PreparedSubject> {
  const { keepDisk, arch, ukiAddon } = options;
  const from = checkImage(given);
  const { machine, disk: tools } = await findTools(context, options, { ...ESP_PROGRAMS, ...DISK_PROGRAMS });
  const make = async (directory: string): Promise<BootSubject> => {
    const disk = keepDisk === undefined ? join(directory, "disk.img") : userPath(context, keepDisk);
    const made = await inPlaceOf(disk, async (temporary) => {
      const common = { from, disk: temporary, directory, tools, arch, access: options };
      const result = await makeImageDisk(context, { ...common, mode, addons: ukiAddon });
      await rename(temporary, disk);
      return result;
    });
    return { name: from.subject, boot: join(directory, IMAGE_BOOT), disk, ...made, kept: keepDisk !== undefined };
  };
  return { tools: machine, make };
}

async function preparedBoot(
  context: Context,
  options: BootTestOptions,
  mode: SecureBootMode,
): Promise<PreparedSubject> {
  const { env } = context.process;
  const boot = await findBoot(context, options, mode);
  const { machine, disk: tools } = await findTools(context, options, ESP_PROGRAMS);
  const make = async (directory: string): Promise<BootSubject> => {
    const disk = join(directory, "esp.img");
    const step = context.ui.step("disk image");
    await makeEsp({ boot, image: disk, withoutKeys: mode === "off", tools, env });
    step.done();
    return { name: boot, boot, disk, image: null, loader: null, kept: false };
  };
  return { tools: machine, make };
}

/** The `/boot` that is meant. */
async function findBoot(
  context: Context,
  { boot: given, arch }: BootTestOptions,
  mode: SecureBootMode,
): Promise<string> {
  const { loader } = MACHINE_TYPES[arch];
  const isThere = (place: string) =>
    stat(place).then(
      () => true,
      () => false,
    );
  const base = userPath(context, given);
  for (const boot of [base, join(base, "boot")]) {
    if (!(await isThere(join(boot, "EFI")))) continue;
    if (!(await isThere(join(boot, loader)))) {
      throw inputError(given, `has no ${loader}, which the firmware starts; give the architecture with --arch`);
    }
    if (mode === "setup" && !(await isThere(join(boot, "loader/keys/auto/PK.auth")))) {
      throw inputError(given, "has no keys in loader/keys/auto to enrol; write it with --enroll-keys");
    }
    return boot;
  }
  throw inputError(
    given,
    "is not a /boot (it has neither EFI nor boot/EFI); seal rootfs and seal boot-layout write one",
  );
}
