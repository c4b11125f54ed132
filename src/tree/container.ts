/**
 * The container transform: what an OCI image means as a root filesystem, the same from a mounted tree and from
 * its layers. Layers seldom say anything about the root directory, so it takes the metadata of `/usr`; `/run` is
 * a tmpfs at runtime and what builders leave in it does not count; of the xattrs only those count that no build
 * host adds by itself.
 *
 * As `FileSystem::transform_for_oci` of composefs-rs does it.
 */
import { KeptMetadata, type MetadataChoice } from "./kept-metadata.ts";
import type { Directory } from "./node.ts";
import { mapInodes, withEntries } from "./rebuild.ts";
import { findToplevel, replaceToplevel, requireToplevel } from "./toplevel.ts";

/**
 * The root directory and `/run` as the transform has them. What counts of the metadata of each inode is left to
 * {@link KeptMetadata}.
 * @param subject the root filesystem in messages
 * @returns a new tree; the given one is not changed
 * @throws SealError `input` when `/usr` is missing, or `/usr` or `/run` is not a directory
 */
export function containerRoot(root: Directory, subject: string): Directory {
  const usr = requireToplevel(root, "usr", subject);
  const run = findToplevel(root, "run", subject);
  const { mtimeSec, mtimeNsec } = usr;
  const entries =
    run === null ? root.entries : replaceToplevel(root, "run", withEntries({ ...run, mtimeSec, mtimeNsec }, []));
  return withEntries(usr, entries);
}

/** The whole transform: {@link containerRoot} with the metadata that counts. */
export function containerTransform(root: Directory, choice: MetadataChoice, subject: string): Directory {
  const kept = new KeptMetadata(choice);
  return mapInodes(containerRoot(root, subject), (node) => kept.of(node));
}
