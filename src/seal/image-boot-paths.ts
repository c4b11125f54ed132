/**
 * Finds what machines start when they boot an image: the UKIs in its `/boot`, through the boot loader there or the one
 * that bootc installs.
 */
import { displayBytes } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { type BootProgram, isRead, type ReadProgram } from "../lint/boot-programs.ts";
import { nodeAt } from "../lint/files.ts";
import { readInstalledLoader } from "../lint/installed-loaders.ts";
import { pePass } from "../lint/same-program.ts";
import { efiArchOfMachine } from "../pe/arch.ts";
import { sha256Hex } from "../pe/digest.ts";
import type { PeImage } from "../pe/headers.ts";
import { PePass } from "../pe/pe-pass.ts";
import type { BootPath } from "../sign/boot-reference.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import { type BootFiles, bootPaths } from "./boot-path.ts";

/** The paths of the programs that machines start. */
const BOOT = "boot/";

/**
 * The ways from the firmware to a kernel of an image.
 * @param programs as {@link readablePrograms} has them
 * @throws SealError `input` as `bootPaths`
 */
export async function imageBootPaths(rootfs: Rootfs, programs: readonly ReadProgram[]): Promise<BootPath[]> {
  return withInstalled(await bootPaths(bootFiles(rootfs, programs)), programs);
}

/**
 * All programs that firmware or a boot loader could start, and the systemd-boot that bootc installs.
 * @param boot the programs in `/boot`
 * @throws SealError `input` when one is not an EFI program
 */
export async function readablePrograms(rootfs: Rootfs, boot: readonly BootProgram[]): Promise<readonly ReadProgram[]> {
  const arches = new Set(boot.filter(isRead).flatMap(({ pe }) => efiArchOfMachine(pe.machine) ?? []));
  const installed: BootProgram[] = [];
  for (const arch of arches) installed.push(...[await readInstalledLoader(rootfs, arch)].filter((one) => one !== null));
  const programs = [...boot, ...installed];
  const broken = programs.find((program) => !isRead(program));
  if (broken !== undefined) {
    throw inputError(rootfs.subject, `${broken.path}: can't be read as an EFI program; seal lint says why`);
  }
  return programs.filter(isRead);
}

/**
 * A machine that bootc installs has the systemd-boot of /usr; if that is a different one, each way to boot is listed
 * with it too.
 */
function withInstalled(paths: readonly BootPath[], programs: readonly ReadProgram[]): BootPath[] {
  return paths.flatMap((bootPath) => {
    const { bootLoader } = bootPath;
    if (bootLoader === null) return [bootPath];
    const own = sha256Hex(bootLoader.pe.file);
    const others = programs.filter(
      ({ path, pe }) => !path.startsWith(BOOT) && pe.machine === bootLoader.pe.machine && sha256Hex(pe.file) !== own,
    );
    return [bootPath, ...others.map(({ pe }) => ({ ...bootPath, bootLoader: pePass(pe) }))];
  });
}

/** The `/boot` of an image, as firmware sees it: paths begin there. */
function bootFiles(rootfs: Rootfs, programs: readonly ReadProgram[]): BootFiles {
  const files = new Map<string, PeImage>(programs.map(({ path, pe }) => [path, pe]));
  return {
    subject: rootfs.subject,
    list: async (directory) => {
      const node = nodeAt(rootfs, `${BOOT}${directory}`);
      if (node?.kind !== "directory") return null;
      return node.entries.flatMap((entry) => (entry.node.kind === "directory" ? [] : [displayBytes(entry.name)]));
    },
    read: async (path) => {
      const pe = files.get(`${BOOT}${path}`);
      if (pe === undefined) throw inputError(rootfs.subject, `boot/${path}: is not a readable EFI program`);
      return new PePass({ ...pe, subject: path }, "verify");
    },
  };
}
