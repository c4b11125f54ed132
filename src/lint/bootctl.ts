/** The bootctl of a root filesystem: its version decides which boot entries bootc writes. */
import { displayBytes } from "../bytes.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import { nodeAt } from "./files.ts";

/** The first systemd that knows the key `uki` of boot entries, and whose presence lets bootc write it. */
export const UKI_KEY_SINCE = 258;

/** Its major version; null if there is none, or it is unknown. */
export function bootctlVersion(rootfs: Pick<Rootfs, "root">): number | null {
  return nodeAt(rootfs, "usr/bin/bootctl") === null ? null : systemdVersion(rootfs);
}

/**
 * The version in the name of its shared library: `usr/lib/systemd/libsystemd-shared-258.so`, or below a directory for
 * the architecture.
 */
function systemdVersion(rootfs: Pick<Rootfs, "root">): number | null {
  const lib = nodeAt(rootfs, "usr/lib");
  const directories =
    lib?.kind === "directory" ? lib.entries.map(({ name }) => `usr/lib/${displayBytes(name)}/systemd`) : [];
  for (const path of ["usr/lib/systemd", "usr/lib64/systemd", ...directories]) {
    const directory = nodeAt(rootfs, path);
    for (const { name } of directory?.kind === "directory" ? directory.entries : []) {
      const found = /^libsystemd-shared-(\d+).*\.so$/.exec(displayBytes(name))?.[1];
      if (found !== undefined) return Number(found);
    }
  }
  return null;
}
