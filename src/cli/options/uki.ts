/** What goes into a UKI: the options of `ukify build`, with its names and meanings. */
import { z } from "zod";
import { EFI_ARCHES } from "../../pe/arch.ts";
import type { OptionSpec } from "../command.ts";
import { passphraseShape } from "./passphrase.ts";
import { PCR_OPTIONS, pcrFields } from "./pcr.ts";

const GROUP = "Contents, as in ukify";

export const UKI_OPTIONS: readonly OptionSpec[] = [
  {
    flags: "--linux <file>",
    description: "kernel; without one the result is an addon",
    group: GROUP,
    complete: "file",
  },
  {
    flags: "--initrd <file...>",
    description: "initrd; repeatable, they are joined in order",
    group: GROUP,
    complete: "file",
  },
  { flags: "--cmdline <text|@file>", description: "kernel command line; a file is taken as it is", group: GROUP },
  {
    flags: "--os-release <text|@file>",
    description: "os-release; '' for none",
    group: GROUP,
    default: "that of this machine, with --linux",
  },
  {
    flags: "--uname <version>",
    description: "kernel version; '' for none",
    group: GROUP,
    default: "found in the kernel",
  },
  {
    flags: "--stub <file>",
    description: "EFI stub that the sections are added to",
    group: GROUP,
    default: "/usr/lib/systemd/boot/efi/linux<arch>.efi.stub, addon<arch>.efi.stub without --linux",
    complete: "file",
  },
  {
    flags: "--efi-arch <arch>",
    description: "architecture of the default stub",
    group: GROUP,
    default: "that of the kernel, else of this machine",
    complete: EFI_ARCHES,
  },
  { flags: "--splash <file>", description: "boot splash, BMP", group: GROUP, complete: "file" },
  { flags: "--devicetree <file>", description: "device tree blob", group: GROUP, complete: "file" },
  {
    flags: "--devicetree-auto <file...>",
    description: "device tree that the stub picks on machines that it fits; repeatable",
    group: GROUP,
    complete: "file",
  },
  {
    flags: "--hwids <directory>",
    description: "files that tell which device tree or firmware fits which machine; '' for none",
    group: GROUP,
    default: "/usr/lib/systemd/boot/hwids/<arch> where it exists, without --rootfs",
    complete: "directory",
  },
  { flags: "--microcode <file>", description: "CPU microcode, as an initrd", group: GROUP, complete: "file" },
  {
    flags: "--efifw <directory...>",
    description: "directory with one firmware image; repeatable",
    group: GROUP,
    complete: "directory",
  },
  {
    flags: "--pcrpkey <file>",
    description: "public key that secrets are sealed to",
    group: GROUP,
    default: "that of the only PCR key",
    complete: "file",
  },
  { flags: "--sbat <text|@file...>", description: "SBAT lines in place of the default ones; repeatable", group: GROUP },
  { flags: "--section <name:text|@file...>", description: "any further section; repeatable", group: GROUP },
  {
    flags: "--profile <text|@file>",
    description: "describes the base of --join-profile; without that, the file is this one profile",
    group: GROUP,
  },
  {
    flags: "--join-profile <file...>",
    description: "profile to offer beside the base, as --profile makes it; repeatable",
    group: GROUP,
    complete: "file",
  },
  ...PCR_OPTIONS,
];

const path = z.string().min(1, "give a path");
const paths = z.array(path).default([]);

/** Fields of {@link UKI_OPTIONS} for a verb's schema. */
export const ukiFields = {
  linux: path.optional(),
  initrd: paths,
  cmdline: z.string().optional(),
  osRelease: z.string().optional(),
  uname: z.string().optional(),
  stub: path.optional(),
  efiArch: z.enum(EFI_ARCHES).optional(),
  splash: path.optional(),
  devicetree: path.optional(),
  devicetreeAuto: paths,
  hwids: z.string().optional(),
  microcode: path.optional(),
  efifw: paths,
  pcrpkey: path.optional(),
  sbat: z.array(z.string()).default([]),
  section: z.array(z.string().regex(/^[^:]*:[^:]*$/, "give NAME:TEXT or NAME:@FILE, with no other colon")).default([]),
  profile: z.string().optional(),
  joinProfile: paths,
  ...pcrFields,
};

const ukiSchema = z.object({ ...ukiFields, ...passphraseShape });
export type UkiOptions = z.infer<typeof ukiSchema>;
