/**
 * The container transform: what an OCI image means as a root filesystem, the same from a mounted tree and from
 * its layers. Layers seldom say anything about the root directory, so it takes the metadata of `/usr`; `/run` is
 * a tmpfs at runtime and what builders leave in it does not count; of the xattrs only those count that no build
 * host adds by itself.
 *
 * As `FileSystem::transform_for_oci` of composefs-rs does it.
 */
import { equalBytes, utf8 } from "../bytes.ts";
import type { Directory, Metadata, Xattr } from "./node.ts";
import { mapInodes, withEntries, XattrLists } from "./rebuild.ts";
import { findToplevel, replaceToplevel, requireToplevel } from "./toplevel.ts";
import type { TransformOptions } from "./transform.ts";

const CAPABILITY = utf8("security.capability");
const USER_PREFIX = utf8("user.");

/**
 * @param xattrs which are kept; `all` for releases that don't filter
 * @param subject the root filesystem in messages
 * @returns a new tree; the given one is not changed
 * @throws SealError `input` when `/usr` is missing, or `/usr` or `/run` is not a directory
 */
export function containerTransform(
  root: Directory,
  xattrs: TransformOptions["xattrs"] | "all",
  subject: string,
): Directory {
  const usr = requireToplevel(root, "usr", subject);
  const run = findToplevel(root, "run", subject);
  const { mtimeSec, mtimeNsec } = usr;
  const entries =
    run === null ? root.entries : replaceToplevel(root, "run", withEntries({ ...run, mtimeSec, mtimeNsec }, []));
  const result = withEntries(usr, entries);
  return xattrs === "all" ? result : filterXattrs(result, xattrs);
}

function filterXattrs(root: Directory, mode: TransformOptions["xattrs"]): Directory {
  const lists = new XattrLists();
  const filtered = new Map<readonly Xattr[], readonly Xattr[]>();
  const filter = (list: readonly Xattr[]): readonly Xattr[] => {
    let result = filtered.get(list);
    if (result === undefined) {
      const kept = list.filter(({ name }) => isKept(name, mode));
      result = lists.intern(kept.length === list.length ? list : kept);
      filtered.set(list, result);
    }
    return result;
  };
  return mapInodes(root, <T extends Metadata>(node: T): T => {
    const xattrs = filter(node.xattrs);
    return xattrs === node.xattrs ? node : { ...node, xattrs };
  });
}

function isKept(name: Uint8Array, mode: TransformOptions["xattrs"]): boolean {
  if (equalBytes(name, CAPABILITY)) return true;
  return mode === "keep-user" && equalBytes(name.subarray(0, USER_PREFIX.length), USER_PREFIX);
}
