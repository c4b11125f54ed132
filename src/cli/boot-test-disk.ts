/** What `boot-test` boots: the EFI system partition of a `/boot`, a disk made of an image, or a disk that is there. */
import { rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { inputError } from "../errors.ts";
import { findPrograms } from "../io/boot-tools.ts";
import { makeEsp } from "../io/esp.ts";
import { inPlaceOf } from "../io/files.ts";
import { MACHINE_TYPES } from "../io/machine-types.ts";
import { checkReadable } from "../io/qemu.ts";
import type { SecureBootMode } from "./boot-test-firmware.ts";
import { DISK_PROGRAMS, IMAGE_BOOT, makeImageDisk } from "./boot-test-image.ts";
import type { BootTestReport } from "./boot-test-report.ts";
import { type Context, userPath } from "./context.ts";
import type { BootTestOptions } from "./options/boot-test.ts";

/** A disk to boot. */
export interface BootSubject {
  /** What it was made of. */
  readonly name: string;
  /** The `/boot` that it has; null for a disk that was there. */
  readonly boot: string | null;
  /** Path of the image, which is not written to. */
  readonly disk: string;
  readonly image: BootTestReport["image"];
  /** Whether it stays when the test is over. */
  readonly kept: boolean;
}

export interface PreparedSubject {
  /** Absolute path of QEMU. */
  readonly qemu: string;
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

/** QEMU's name or path. */
function qemuOf({ qemu, arch }: BootTestOptions): string {
  return qemu ?? MACHINE_TYPES[arch].qemu;
}

async function preparedDisk(context: Context, options: BootTestOptions, disk: string): Promise<PreparedSubject> {
  const { env, cwd } = context.host;
  await checkReadable(disk);
  const tools = await findPrograms({ qemu: qemuOf(options) }, env, cwd);
  return { qemu: tools.qemu, make: async () => ({ name: disk, boot: null, disk, image: null, kept: true }) };
}

async function preparedImage(
  context: Context,
  options: BootTestOptions,
  from: string,
  mode: SecureBootMode,
): Promise<PreparedSubject> {
  const { env, cwd } = context.host;
  const { keepDisk, arch } = options;
  const tools = await findPrograms({ qemu: qemuOf(options), ...ESP_PROGRAMS, ...DISK_PROGRAMS }, env, cwd);
  const make = async (directory: string): Promise<BootSubject> => {
    const disk = keepDisk === undefined ? join(directory, "disk.img") : userPath(context, keepDisk);
    let image: BootSubject["image"] = null;
    await inPlaceOf(disk, async (temporary) => {
      const common = { from, disk: temporary, directory, tools, arch };
      image = await makeImageDisk(context, { ...common, withoutKeys: mode === "off" });
      await rename(temporary, disk);
    });
    return { name: from, boot: join(directory, IMAGE_BOOT), disk, image, kept: keepDisk !== undefined };
  };
  return { qemu: tools.qemu, make };
}

async function preparedBoot(
  context: Context,
  options: BootTestOptions,
  mode: SecureBootMode,
): Promise<PreparedSubject> {
  const { env, cwd } = context.host;
  const boot = await findBoot(context, options, mode);
  const tools = await findPrograms({ qemu: qemuOf(options), ...ESP_PROGRAMS }, env, cwd);
  const make = async (directory: string): Promise<BootSubject> => {
    const disk = join(directory, "esp.img");
    const step = context.ui.step("disk image");
    await makeEsp({ boot, image: disk, withoutKeys: mode === "off", tools, env });
    step.done();
    return { name: boot, boot, disk, image: null, kept: false };
  };
  return { qemu: tools.qemu, make };
}

/** The `/boot` that is meant. */
async function findBoot(
  context: Context,
  { boot: given = ".", arch }: BootTestOptions,
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
      throw inputError(given, `has no ${loader}, which the firmware starts; --arch says which machine it is for`);
    }
    if (mode === "setup" && !(await isThere(join(boot, "loader/keys/auto/PK.auth")))) {
      throw inputError(given, "has no keys in loader/keys/auto to enrol; write it with --enroll-keys");
    }
    return boot;
  }
  throw inputError(given, "is no /boot (it has neither EFI nor boot/EFI); seal rootfs and seal boot-layout write one");
}
