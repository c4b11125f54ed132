/** From a root filesystem as it was read to the tree whose digest is computed. */
import { displayBytes } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { bootTransform } from "./bootable.ts";
import { containerRoot, containerTransform } from "./container.ts";
import { KeptMetadata, type MetadataChoice } from "./kept-metadata.ts";
import type { Directory } from "./node.ts";
import { mapInodes, rebuild } from "./rebuild.ts";
import type { Rootfs } from "./rootfs.ts";
import type { TransformOptions } from "./transform.ts";

/**
 * Cuts the times, if asked to, and applies the container and the boot transform as far as `options.transform` goes.
 * @returns a new tree that shares with the given one what did not change; the given one stays as it is
 * @throws SealError `input` when the tree lacks what a transform needs, or a symlink is too long for the chosen release
 */
export async function transformTree(rootfs: Rootfs, options: TransformOptions): Promise<Directory> {
  const root = await transformed(rootfs, options);
  checkSymlinks(root, options.rules.symlinkMax, rootfs.subject);
  return root;
}

async function transformed(rootfs: Rootfs, { rules, transform, xattrs, mtime }: TransformOptions): Promise<Directory> {
  const { root, subject, view } = rootfs;
  const keepsAll = view === "layers" && rules.layerXattrs === "all";
  const choice: MetadataChoice = { xattrs: keepsAll ? "all" : xattrs, mtime };
  switch (transform) {
    case "none":
      return mtime === "seconds" ? cutTimes(root) : root;
    case "oci":
      return containerTransform(root, choice, subject);
    case "boot":
      return bootTransform(containerRoot(root, subject), rootfs, rules, choice);
  }
}

/** The tree with whole seconds, as most image layers keep them. */
function cutTimes(root: Directory): Directory {
  const kept = new KeptMetadata({ xattrs: "all", mtime: "seconds" });
  return mapInodes(root, (node) => kept.of(node));
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
