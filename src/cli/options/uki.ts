/** What goes into a UKI: the options of `ukify build`, with its names and meanings. */
import { z } from "zod";
import { EFI_ARCHES } from "../../pe/arch.ts";
import { type GroupValues, optionGroup } from "./group.ts";
import { choice, path, text, value } from "./option.ts";
import { pcrOptions } from "./pcr.ts";

const KERNEL_DIR = "with --rootfs give --kernel-dir, a directory <kver> with vmlinuz and initramfs.img";
const section = () => z.string().regex(/^[^:]*:[^:]*$/, "give NAME:TEXT or NAME:@FILE, with no other colon");

const contentOptions = optionGroup("Contents, as in ukify", {
  linux: path({
    help: "kernel; without one, the result is an addon",
    excludes: { rootfs: KERNEL_DIR, from: KERNEL_DIR },
  }),
  initrd: path({ many: true, help: "initrd; repeatable, concatenated in order" }),
  cmdline: text({ placeholder: "text|@file", help: "kernel command line; a file is used verbatim" }),
  osRelease: text({
    placeholder: "text|@file",
    help: "os-release; '' for none",
    shownDefault: "this machine's, with --linux",
  }),
  uname: text({
    placeholder: "version",
    help: "kernel version; '' for none",
    shownDefault: "read from the kernel",
  }),
  stub: path({
    help: "EFI stub to which the sections are added",
    shownDefault: "/usr/lib/systemd/boot/efi/linux<arch>.efi.stub, addon<arch>.efi.stub without --linux",
  }),
  efiArch: choice(EFI_ARCHES, {
    placeholder: "arch",
    help: "architecture of the default stub",
    shownDefault: "the kernel's, else this machine's",
  }),
  splash: path({ help: "boot splash, BMP" }),
  devicetree: path({ help: "device tree blob" }),
  devicetreeAuto: path({ many: true, help: "device tree that the stub selects on matching machines; repeatable" }),
  hwids: text({
    placeholder: "directory",
    complete: "directory",
    help: "directory of files that map hardware IDs to device trees or firmware; '' for none",
    shownDefault: "/usr/lib/systemd/boot/hwids/<arch> if it exists; none with a root filesystem or image",
  }),
  microcode: path({ help: "CPU microcode, as an initrd" }),
  efifw: path({
    many: true,
    placeholder: "directory",
    complete: "directory",
    help: "directory containing one firmware image; repeatable",
  }),
  pcrpkey: path({
    help: "public key to which secrets are sealed (.pcrpkey)",
    shownDefault: "that of the PCR key, if there is only one",
  }),
  sbat: text({
    many: true,
    placeholder: "text|@file",
    help: "SBAT lines that replace the default ones; repeatable",
  }),
  section: value(section, { many: true, placeholder: "name:text|@file", help: "additional section; repeatable" }),
  profile: text({
    placeholder: "text|@file",
    help: ".profile section of the base profile, in the syntax of os-release; without --join-profile, the UKI has this profile only",
  }),
  joinProfile: path({
    many: true,
    help: "additional profile, as built with --profile; repeatable",
  }),
});

export const ukiOptions = contentOptions.and(pcrOptions);

/** Everything that goes into a UKI in ukify's own mode, besides the keys of measured boot. */
export type UkiOptions = GroupValues<typeof contentOptions>;

/** What comes from elsewhere, wherever kernel and command line come from. */
export type ExtraOptions = Omit<UkiOptions, "linux" | "cmdline" | "osRelease" | "uname" | "stub" | "efiArch">;
