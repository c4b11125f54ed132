/** What goes into a UKI that is built from a root filesystem, besides the options of ukify. */

import { z } from "zod";
import { parseRootfsSource } from "../../io/rootfs-source.ts";
import type { Requirement } from "./declaration.ts";
import { digestOptions } from "./digest.ts";
import { type GroupValues, optionGroup } from "./group.ts";
import { flag, off, parsed, path, text, value } from "./option.ts";

/** Heading on help pages. */
export const ROOTFS_GROUP = "From a root filesystem";

const requires: Requirement = { anyOf: ["rootfs", "from"] };
const digest = () => z.string().regex(/^(?:[0-9a-f]{64}|[0-9a-f]{128})$/, "give 64 or 128 hex digits in lower case");

export const ukiRootfsOptions = optionGroup(ROOTFS_GROUP, {
  rootfs: parsed(parseRootfsSource, {
    problem: "give a root filesystem",
    placeholder: "rootfs",
    complete: "directory",
    help: "take kernel, initramfs, os-release, stub and kargs.d from here, and put its digest on the command line",
  }),
  kernelDir: path({
    complete: "directory",
    help: "take kernel and initramfs from here: the output of split-kernel, or its directory <kver>",
    requires,
  }),
  kver: text({
    placeholder: "version",
    problem: "give a version",
    help: "which kernel, if there are several",
    requires,
  }),
  karg: text({
    many: true,
    placeholder: "argument",
    aliases: ["--additional-kargs"],
    help: "additional kernel argument, appended after all others; repeatable",
    requires,
  }),
  kargsD: off({ help: "ignore usr/lib/bootc/kargs.d", requires }),
  digest: value(digest, {
    placeholder: "hex",
    help: "use this composefs digest instead of computing it",
    requires,
  }),
  allowMissingVerity: flag({
    help: "write composefs=?DIGEST: the system also boots without fs-verity, and then nothing checks what it reads",
    requires,
  }),
}).and(digestOptions);

/**
 * Where the root filesystem is named by an argument or an option of the verb's own. A digest that is given takes the
 * place of one that is computed.
 */
export type UkiRootfsOptions = Omit<GroupValues<typeof ukiRootfsOptions>, "rootfs" | "digest"> & {
  readonly digest?: string | undefined;
};
