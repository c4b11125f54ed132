/**
 * The boot entries that composefs-rs looks for when an image is pulled (`get_boot_resources`): Boot Loader
 * Specification entries of both types, and kernels in `/usr/lib/modules`. seal needs none of them for a digest, but if
 * the peer fails, there is no digest to agree on.
 */
import { displayBytes, escapeControls, utf8 } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { type Directory, lookup, splitPath } from "./node.ts";
import { type Rootfs, readNode } from "./rootfs.ts";
import { KIND_NAMES } from "./toplevel.ts";

const ENTRIES = "boot/loader/entries";
const UKIS = "boot/EFI/Linux";
const MODULES = "usr/lib/modules";
const CONF = utf8(".conf");
const EFI = utf8(".efi");
/** Keys of an entry whose values are files. */
const FILE_KEY = /^(?:linux|initrd|efi)[\t\n\f\r ](.*)$/s;

/** @throws SealError `input` for an entry that can't be installed */
export async function checkBootEntries(rootfs: Rootfs): Promise<void> {
  const entries = directoryAt(rootfs, ENTRIES);
  for (const { name, node } of entries?.entries ?? []) {
    if (!endsWith(name, CONF)) continue;
    const where = `${ENTRIES}/${displayBytes(name)}`;
    if (node.kind !== "regular")
      throw inputError(rootfs.subject, `${where}: is a ${KIND_NAMES[node.kind]}, not a boot entry`);
    const path = [...splitPath(utf8(ENTRIES)), name];
    checkEntry(rootfs, await readNode(rootfs, path, node), where);
  }
  const ukis = directoryAt(rootfs, UKIS);
  if (ukis !== null) checkPrograms(rootfs.subject, ukis, UKIS);
  for (const { name, node } of directoryAt(rootfs, MODULES)?.entries ?? []) {
    if (node.kind !== "directory") continue;
    const where = `${MODULES}/${displayBytes(name)}`;
    checkPrograms(rootfs.subject, node, where);
    if (lookup(node, utf8("vmlinuz"))?.kind === "regular" && !isUtf8(name)) {
      throw inputError(rootfs.subject, `${where}: the name of a kernel's directory must be UTF-8`);
    }
  }
}

/** A directory, or null where a name on the way is missing. @throws SealError `input` where one is something else */
function directoryAt(rootfs: Rootfs, path: string): Directory | null {
  let place = rootfs.root;
  for (const name of splitPath(utf8(path))) {
    const next = lookup(place, name);
    if (next === undefined) return null;
    if (next.kind !== "directory") {
      throw inputError(
        rootfs.subject,
        `${path}: ${displayBytes(name)} is a ${KIND_NAMES[next.kind]}; bootc refuses such an image`,
      );
    }
    place = next;
  }
  return place;
}

function checkEntry(rootfs: Rootfs, bytes: Uint8Array, where: string): void {
  if (!isUtf8(bytes)) throw inputError(rootfs.subject, `${where}: a boot entry must be UTF-8`);
  for (const line of new TextDecoder().decode(bytes).split("\n")) {
    const value = FILE_KEY.exec(line)?.[1]?.trimStart();
    if (value === undefined) continue;
    let node: Directory["entries"][number]["node"] | undefined = rootfs.root;
    for (const name of splitPath(utf8(value))) node = node?.kind === "directory" ? lookup(node, name) : undefined;
    if (node?.kind !== "regular") {
      throw inputError(rootfs.subject, `${where}: names ${escapeControls(value)}, which is not a file of the image`);
    }
  }
}

/** EFI programs below a directory must be files. */
function checkPrograms(subject: string, directory: Directory, where: string): void {
  const pending: Directory[] = [directory];
  for (let place = pending.pop(); place !== undefined; place = pending.pop()) {
    for (const { name, node } of place.entries) {
      if (node.kind === "directory") pending.push(node);
      else if (endsWith(name, EFI) && node.kind !== "regular") {
        throw inputError(subject, `${where}: ${displayBytes(name)} is a ${KIND_NAMES[node.kind]}, not an EFI program`);
      }
    }
  }
}

/** Without a text being made of each name: a kernel has thousands of modules. */
function endsWith(name: Uint8Array, suffix: Uint8Array): boolean {
  const start = name.length - suffix.length;
  if (start < 0) return false;
  for (let at = suffix.length - 1; at >= 0; at--) if (name[start + at] !== suffix[at]) return false;
  return true;
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}
