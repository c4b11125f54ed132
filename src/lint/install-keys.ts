/** The keys in a root filesystem that bootc copies to the ESP, where systemd-boot finds them to enrol. */
import { AUTO_KEYS, SECUREBOOT_KEYS } from "../boot/esp-sources.ts";
import { displayBytes } from "../bytes.ts";
import { SECURE_BOOT_VARIABLES, type SecureBootVariable } from "../sign/authvar.ts";
import { type EnrollKeys, enrollFileName, readEnrollKeys } from "../sign/enroll-keys.ts";
import type { RegularFile } from "../tree/node.ts";
import { type Rootfs, readTreeFile } from "../tree/rootfs.ts";
import { nodeAt } from "./files.ts";

export interface InstalledKey {
  /** Below `loader/keys`, as in {@link SECUREBOOT_KEYS}: `auto/PK.auth`. */
  readonly name: string;
  /** In the tree, one name each. */
  readonly components: readonly Uint8Array[];
  readonly node: RegularFile;
}

export interface InstalledKeys {
  /** What is copied, in the order of the tree. */
  readonly files: readonly InstalledKey[];
  /** The directories where they may be, with or without keys. */
  readonly directories: readonly string[];
  /** What makes bootc stop: anything but directories, and invalid `.auth` files. */
  readonly obstacles: readonly { readonly path: string; readonly wanted: "a directory" | "a regular file" }[];
}

/**
 * What bootc finds in secureboot-keys; no contents are read. Source: bootc, `crates/lib/src/bootc_composefs/boot.rs`,
 * `get_secureboot_keys`.
 */
export function installedKeys(rootfs: Pick<Rootfs, "root">): InstalledKeys {
  const files: InstalledKey[] = [];
  const directories: string[] = [];
  const obstacles: InstalledKeys["obstacles"][number][] = [];
  const all = nodeAt(rootfs, SECUREBOOT_KEYS);
  if (all === null) return { files, directories, obstacles };
  if (all.kind !== "directory") obstacles.push({ path: SECUREBOOT_KEYS, wanted: "a directory" });
  const parents = SECUREBOOT_KEYS.split("/").map((name) => Buffer.from(name));
  for (const { name, node } of all.kind === "directory" ? all.entries : []) {
    const directory = displayBytes(name);
    const path = `${SECUREBOOT_KEYS}/${directory}`;
    if (node.kind !== "directory") {
      obstacles.push({ path, wanted: "a directory" });
      continue;
    }
    directories.push(path);
    for (const entry of node.entries) {
      const file = displayBytes(entry.name);
      if (!file.endsWith(".auth")) continue;
      if (entry.node.kind !== "regular") obstacles.push({ path: `${path}/${file}`, wanted: "a regular file" });
      else files.push({ name: `${directory}/${file}`, components: [...parents, name, entry.name], node: entry.node });
    }
  }
  return { files, directories, obstacles };
}

/**
 * The directories whose keys a machine may have enrolled: the one that systemd-boot enrols by itself, or if there is
 * none, all that its menu offers.
 */
export function enrolledDirectories(rootfs: Pick<Rootfs, "root">): readonly string[] {
  const { directories } = installedKeys(rootfs);
  return directories.includes(AUTO_KEYS) ? [AUTO_KEYS] : directories;
}

/** The file of a variable in a directory of keys. */
export function keyPath(directory: string, variable: SecureBootVariable): string {
  return `${directory}/${enrollFileName(variable)}`;
}

/**
 * Reads the keys of a directory, and says what is wrong with them. @throws SealError `input` when a file can't be read
 */
export async function readKeyDirectory(rootfs: Rootfs, directory: string): Promise<EnrollKeys> {
  const files = new Map<SecureBootVariable, Uint8Array>();
  for (const variable of SECURE_BOOT_VARIABLES) {
    const bytes = await readTreeFile(rootfs, keyPath(directory, variable));
    if (bytes !== null) files.set(variable, bytes);
  }
  return readEnrollKeys(files, (variable) => keyPath(directory, variable));
}
