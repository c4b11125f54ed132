/**
 * What `bootc install` copies to the EFI system partition besides UKIs, and where it takes it from: the root
 * filesystem, not `/boot`. systemd-boot goes there by `bootctl install --root`, the keys as they are (bootc,
 * `crates/lib/src/bootloader.rs` and `bootc_composefs/boot.rs`).
 */
import { EFI_ARCHES, type EfiArch } from "../pe/arch.ts";

/** Each directory below becomes one of the same name in `loader/keys`; nothing but directories may be here. */
export const SECUREBOOT_KEYS = "usr/lib/bootc/install/secureboot-keys";
/** The one that systemd-boot enrols by itself in virtual machines, and offers in its menu elsewhere. */
export const AUTO_KEYS = `${SECUREBOOT_KEYS}/auto`;

/**
 * The architecture that a file in systemd's directory of EFI programs is a systemd-boot for; null:
 * it is something else.
 */
export function loaderArch(name: string): EfiArch | null {
  return (
    EFI_ARCHES.find((arch) => name === `systemd-boot${arch}.efi` || name === `systemd-boot${arch}.efi.signed`) ?? null
  );
}

/**
 * What sealing puts into a root filesystem before its digest: signed boot loaders, keys to enrol, and the directories
 * that are made for them.
 */
const PREPARED =
  /^usr\/lib\/(?:systemd\/boot\/efi\/systemd-boot[a-z0-9]+\.efi\.signed|bootc(?:\/install(?:\/secureboot-keys(?:\/.*)?)?)?)$/;

/** Whether a path of a root filesystem is one that `seal prepare` and `seal image` write. */
export function isPreparedPath(path: string): boolean {
  return PREPARED.test(path);
}
