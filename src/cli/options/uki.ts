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
    help: "kernel; without one the result is an addon",
    excludes: { rootfs: KERNEL_DIR, from: KERNEL_DIR },
  }),
  initrd: path({ many: true, help: "initrd; repeatable, they are joined in order" }),
  cmdline: text({ placeholder: "text|@file", help: "kernel command line; a file is taken as it is" }),
  osRelease: text({
    placeholder: "text|@file",
    help: "os-release; '' for none",
    shownDefault: "that of this machine, with --linux",
  }),
  uname: text({
    placeholder: "version",
    help: "kernel version; '' for none",
    shownDefault: "found in the kernel",
  }),
  stub: path({
    help: "EFI stub that the sections are added to",
    shownDefault: "/usr/lib/systemd/boot/efi/linux<arch>.efi.stub, addon<arch>.efi.stub without --linux",
  }),
  efiArch: choice(EFI_ARCHES, {
    placeholder: "arch",
    help: "architecture of the default stub",
    shownDefault: "that of the kernel, else of this machine",
  }),
  splash: path({ help: "boot splash, BMP" }),
  devicetree: path({ help: "device tree blob" }),
  devicetreeAuto: path({ many: true, help: "device tree that the stub picks on machines that it fits; repeatable" }),
  hwids: text({
    placeholder: "directory",
    complete: "directory",
    help: "files that tell which device tree or firmware fits which machine; '' for none",
    shownDefault: "/usr/lib/systemd/boot/hwids/<arch> where it exists, without --rootfs",
  }),
  microcode: path({ help: "CPU microcode, as an initrd" }),
  efifw: path({
    many: true,
    placeholder: "directory",
    complete: "directory",
    help: "directory with one firmware image; repeatable",
  }),
  pcrpkey: path({ help: "public key that secrets are sealed to", shownDefault: "that of the only PCR key" }),
  sbat: text({
    many: true,
    placeholder: "text|@file",
    help: "SBAT lines in place of the default ones; repeatable",
  }),
  section: value(section, { many: true, placeholder: "name:text|@file", help: "any further section; repeatable" }),
  profile: text({
    placeholder: "text|@file",
    help: "describes the base of --join-profile; without that, the file is this one profile",
  }),
  joinProfile: path({
    many: true,
    help: "profile to offer beside the base, as --profile makes it; repeatable",
  }),
});

export const ukiOptions = contentOptions.and(pcrOptions);

/** Everything that goes into a UKI in ukify's own mode, beside the keys of measured boot. */
export type UkiOptions = GroupValues<typeof contentOptions>;

/** What comes from elsewhere, wherever kernel and command line come from. */
export type ExtraOptions = Omit<UkiOptions, "linux" | "cmdline" | "osRelease" | "uname" | "stub" | "efiArch">;
