/** From a root filesystem as it was read to the tree whose digest is computed. */
import { displayBytes } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { bootTransform } from "./bootable.ts";
import { containerTransform } from "./container.ts";
import type { Directory, Metadata } from "./node.ts";
import { mapInodes, rebuild } from "./rebuild.ts";
import type { Rootfs } from "./rootfs.ts";
import type { TransformOptions } from "./transform.ts";

/**
 * Cuts the times, if asked to, then applies the container and the boot transform as far as `options.transform` goes.
 * @returns a new tree that shares with the given one what did not change; the given one stays as it is
 * @throws SealError `input` when the tree lacks what a transform needs, or a symlink is too long for the chosen release
 */
export async function transformTree(rootfs: Rootfs, options: TransformOptions): Promise<Directory> {
  const { rules, transform } = options;
  let root = options.mtime === "seconds" ? cutTimes(rootfs.root) : rootfs.root;
  const keepsAll = rootfs.view === "layers" && rules.layerXattrs === "all";
  if (transform !== "none") root = containerTransform(root, keepsAll ? "all" : options.xattrs, rootfs.subject);
  if (transform === "boot") root = await bootTransform(root, rootfs, rules);
  checkSymlinks(root, rules.symlinkMax, rootfs.subject);
  return root;
}

/** The tree with whole seconds, as most image layers keep them. */
export function cutTimes(root: Directory): Directory {
  return mapInodes(root, <T extends Metadata>(node: T): T => (node.mtimeNsec === 0 ? node : { ...node, mtimeNsec: 0 }));
}

function checkSymlinks(root: Directory, limit: number | null, subject: string): void {
  if (limit === null) return;
  rebuild<null>(
    root,
    {
      enter: (directory) => ({ metadata: directory, context: null }),
      leaf: (leaf, name) => {
        if (leaf.kind === "symlink" && leaf.target.length > limit) {
          throw inputError(
            subject,
            `the symlink ${displayBytes(name)} has a target of ${leaf.target.length} bytes; the chosen bootc release takes ${limit} at most`,
          );
        }
        return leaf;
      },
    },
    null,
  );
}
