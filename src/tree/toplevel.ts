/** The directories of a root filesystem that the transforms need. */
import { displayBytes, equalBytes, utf8 } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { type Directory, type Entry, lookup, type NodeKind } from "./node.ts";

/** What messages call the file at a path. */
export const KIND_NAMES: Readonly<Record<NodeKind, string>> = {
  directory: "directory",
  regular: "regular file",
  symlink: "symlink",
  char: "character device",
  block: "block device",
  fifo: "fifo",
  socket: "socket",
};

/**
 * A directory right below the root; null when there is nothing of that name.
 * @param subject the root filesystem in messages
 * @throws SealError `input` when it is not a directory
 */
export function findToplevel(root: Directory, name: string, subject: string): Directory | null {
  const node = lookup(root, utf8(name));
  if (node === undefined) return null;
  if (node.kind === "directory") return node;
  const target = node.kind === "symlink" ? ` to ${displayBytes(node.target)}` : "";
  throw inputError(
    subject,
    `/${name} is a ${KIND_NAMES[node.kind]}${target}; a bootable root filesystem has a directory there`,
  );
}

/**
 * The same for a directory that must be there.
 * @throws SealError `input` when it is missing or no directory
 */
export function requireToplevel(root: Directory, name: string, subject: string): Directory {
  const directory = findToplevel(root, name, subject);
  if (directory !== null) return directory;
  if (root.entries.length === 0) {
    throw inputError(
      subject,
      "is empty: nothing is mounted there, or it is an image without files. In a container build, mount a stage there with RUN --mount=type=bind,from=STAGE,target=DIR",
    );
  }
  throw inputError(
    subject,
    `/${name} is missing; a bootable root filesystem has that directory (add it to the image with mkdir /${name})`,
  );
}

/** The root's entries with some directories replaced. */
export function replaceToplevel(root: Directory, name: string, directory: Directory): readonly Entry[] {
  const bytes = utf8(name);
  return root.entries.map((entry) => (equalBytes(entry.name, bytes) ? { name: entry.name, node: directory } : entry));
}
