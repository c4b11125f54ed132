/** What goes into a UKI that is built from a root filesystem, beside the options of ukify. */
import { z } from "zod";
import type { OptionSpec } from "../command.ts";
import { DIGEST_OPTIONS, digestShape } from "./digest.ts";

/** Heading on help pages. */
export const ROOTFS_GROUP = "From a root filesystem";

export const UKI_ROOTFS_OPTIONS: readonly OptionSpec[] = [
  {
    flags: "--rootfs <rootfs>",
    description:
      "takes kernel, initramfs, os-release, stub and kargs.d from there and puts its digest on the command line",
    group: ROOTFS_GROUP,
    complete: "directory",
  },
  {
    flags: "--kernel-dir <dir>",
    description: "takes kernel and initramfs from here: what split-kernel made, or its directory <kver>",
    group: ROOTFS_GROUP,
    complete: "directory",
  },
  { flags: "--kver <version>", description: "which kernel, where there are several", group: ROOTFS_GROUP },
  {
    flags: "--karg <argument...>",
    description: "further kernel argument, behind all others; repeatable",
    group: ROOTFS_GROUP,
    aliases: ["--additional-kargs"],
  },
  { flags: "--no-kargs-d", description: "leave usr/lib/bootc/kargs.d out", group: ROOTFS_GROUP },
  { flags: "--digest <hex>", description: "the composefs digest, instead of computing it", group: ROOTFS_GROUP },
  {
    flags: "--allow-missing-verity",
    description: "write composefs=?DIGEST: the system starts without fs-verity too, and nobody checks what it reads",
    group: ROOTFS_GROUP,
  },
  ...DIGEST_OPTIONS,
];

/** Fields of {@link UKI_ROOTFS_OPTIONS} for a verb's schema. */
export const ukiRootfsFields = {
  rootfs: z.string().min(1, "give a root filesystem").optional(),
  kernelDir: z.string().min(1, "give a directory").optional(),
  kver: z.string().min(1, "give a version").optional(),
  karg: z.array(z.string()).default([]),
  kargsD: z.boolean().default(true),
  digest: z
    .string()
    .regex(/^(?:[0-9a-f]{64}|[0-9a-f]{128})$/, "give 64 or 128 hex digits in lower case")
    .optional(),
  allowMissingVerity: z.boolean().default(false),
  ...digestShape,
};

const schema = z.object(ukiRootfsFields);
export type UkiRootfsOptions = z.infer<typeof schema>;
