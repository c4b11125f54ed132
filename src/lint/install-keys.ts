/** The keys in a root filesystem that bootc copies to the ESP, where systemd-boot finds them to enrol. */
import { AUTO_KEYS, SECUREBOOT_KEYS } from "../boot/esp-sources.ts";
import { displayBytes } from "../bytes.ts";
import { SECURE_BOOT_VARIABLES, type SecureBootVariable } from "../sign/authvar.ts";
import { type EnrollKeys, enrollFileName, readEnrollKeys } from "../sign/enroll-keys.ts";
import { type Rootfs, readTreeFile } from "../tree/rootfs.ts";
import { nodeAt } from "./files.ts";

/** The directories that bootc copies to loader/keys, by their paths. */
export function keyDirectories(rootfs: Pick<Rootfs, "root">): readonly string[] {
  const all = nodeAt(rootfs, SECUREBOOT_KEYS);
  if (all?.kind !== "directory") return [];
  return all.entries.flatMap(({ name, node }) =>
    node.kind === "directory" ? [`${SECUREBOOT_KEYS}/${displayBytes(name)}`] : [],
  );
}

/** Those of them that a machine may have enrolled: the one that systemd-boot takes by itself, where there is none all that its menu offers. */
export function enrolledDirectories(rootfs: Pick<Rootfs, "root">): readonly string[] {
  const directories = keyDirectories(rootfs);
  return directories.includes(AUTO_KEYS) ? [AUTO_KEYS] : directories;
}

/** The file of a variable in a directory of keys. */
export function keyPath(directory: string, variable: SecureBootVariable): string {
  return `${directory}/${enrollFileName(variable)}`;
}

/** The keys of a directory, and what is wrong with them. @throws SealError `input` when a file can't be read */
export async function readKeyDirectory(rootfs: Rootfs, directory: string): Promise<EnrollKeys> {
  const files = new Map<SecureBootVariable, Uint8Array>();
  for (const variable of SECURE_BOOT_VARIABLES) {
    const bytes = await readTreeFile(rootfs, keyPath(directory, variable));
    if (bytes !== null) files.set(variable, bytes);
  }
  return readEnrollKeys(files, (variable) => keyPath(directory, variable));
}
