/** Where a power failure must not take what was written: a machine may boot from there. */
import { realpath, statfs } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";

/**
 * Whether a machine may boot from what is put at a path: it is on FAT, as EFI system partitions are, or at or below a
 * directory that is named as people name the mount points of such partitions.
 * @param path need not exist yet
 */
export async function isBootedFrom(path: string): Promise<boolean> {
  for (let place = resolve(path); ; place = dirname(place)) {
    try {
      const real = await realpath(place);
      const whole = join(real, relative(place, resolve(path)));
      return BOOT_NAMES.test(whole) || (await statfs(real)).type === MSDOS_SUPER_MAGIC;
    } catch (error) {
      // The parents are made, or can't be, when it is written.
      if (place === dirname(place)) throw error;
    }
  }
}
const BOOT_NAMES = /\/(?:boot|efi|esp|xbootldr)(?:\/|$)/i;
/** The type of FAT (linux/magic.h). */
const MSDOS_SUPER_MAGIC = 0x4d44;
