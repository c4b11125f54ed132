/** Trees that were unpacked by an ordinary user, whose files all belong to that user instead of root. */
import { displayBytes } from "../bytes.ts";
import type { Directory } from "../tree/node.ts";

/** Fewer inodes than this are not a system. */
const MIN_INODES = 5;

/**
 * The one owner of everything outside of /boot, where that is not root; null when there are several, or root is one.
 * @param root of the tree
 */
export function soleOwner(root: Directory): number | null {
  const { uid } = root;
  if (uid === 0) return null;
  let inodes = 1;
  const pending: Directory[] = [root];
  for (let open = pending.pop(); open !== undefined; open = pending.pop()) {
    for (const { name, node } of open.entries) {
      if (open === root && displayBytes(name) === "boot") continue;
      if (node.uid !== uid) return null;
      inodes++;
      if (node.kind === "directory") pending.push(node);
    }
  }
  return inodes < MIN_INODES ? null : uid;
}

/** Said about such a tree, without subject. */
export function ownerMessage(uid: number): string {
  return `everything in it belongs to user ${uid}, as when an ordinary user unpacks an archive; on the machine, that user would own every program and all of /etc`;
}

export const OWNER_FIX = "unpack it as root, or in a user namespace (podman unshare)";
