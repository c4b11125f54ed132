/**
 * The tree that a fresh image holds: what a mounted root filesystem means as a container root, with everything taken
 * out that image layers can't hold or that is not part of the sealed system. A mount of the image and its layers can't
 * differ in such a tree.
 */
import { displayBytes, equalBytes, utf8 } from "../bytes.ts";
import { concat } from "../chunks.ts";
import { inputError } from "../errors.ts";
import { containerTransform } from "./container.ts";
import type { Directory, Leaf, Metadata } from "./node.ts";
import { type Rebuilder, rebuild, withEntries } from "./rebuild.ts";
import { findToplevel, replaceToplevel, requireToplevel } from "./toplevel.ts";
import type { TransformOptions } from "./transform.ts";

export interface CanonicalTree {
  readonly root: Directory;
  /** What was left out, one line each. */
  readonly notes: readonly string[];
}

const WHITEOUT = utf8(".wh.");

/**
 * Whole seconds, the xattrs that the digest counts, `/` with the metadata of `/usr`, `/run` and `/boot` empty and with
 * the time of `/usr`, no sockets.
 * @param subject the root filesystem in messages
 * @throws SealError `input` when `/usr` or `/boot` is missing, and for what container tools would not unpack as it is:
 *   names of whiteouts, overlayfs's whiteout devices, times before 1970
 */
export function canonicalTree(root: Directory, xattrs: TransformOptions["xattrs"], subject: string): CanonicalTree {
  const notes: string[] = [];
  for (const name of ["boot", "run"]) {
    const entries = findToplevel(root, name, subject)?.entries ?? [];
    const shown = entries.slice(0, 3).map((entry) => displayBytes(entry.name));
    const more = entries.length > shown.length ? `${shown.join(", ")}, …` : shown.join(", ");
    if (entries.length > 0) notes.push(`${subject}: what is in /${name} (${more}) is not taken into the image`);
  }
  const whole = emptyBoot(containerTransform(root, { xattrs, mtime: "seconds" }, subject), subject);
  let sockets = 0;
  const check = (metadata: Metadata, path: Uint8Array) => {
    if (metadata.mtimeSec >= 0n) return;
    throw inputError(`${subject}: ${displayBytes(path)}`, "has a time before 1970, which layers can't have; touch it");
  };
  const visitor: Rebuilder<Uint8Array> = {
    enter: (directory, name, parent) => {
      const path = name === null ? parent : childPath(parent, name, subject);
      check(directory, path);
      return { metadata: directory, context: path };
    },
    leaf: (leaf, name, parent) => {
      const path = childPath(parent, name, subject);
      check(leaf, path);
      if (isWhiteoutDevice(leaf)) {
        const reason = "is a device 0:0, which container storage takes for a removed file; remove it";
        throw inputError(`${subject}: ${displayBytes(path)}`, reason);
      }
      if (leaf.kind !== "socket") return leaf;
      sockets++;
      return null;
    },
  };
  const result = rebuild(whole, visitor, new Uint8Array());
  if (sockets > 0) notes.push(`${subject}: ${sockets === 1 ? "a socket is" : `${sockets} sockets are`} left out`);
  return { root: result, notes };
}

function emptyBoot(root: Directory, subject: string): Directory {
  const boot = requireToplevel(root, "boot", subject);
  const { mtimeSec } = requireToplevel(root, "usr", subject);
  return withEntries(root, replaceToplevel(root, "boot", withEntries({ ...boot, mtimeSec }, [])));
}

function childPath(parent: Uint8Array, name: Uint8Array, subject: string): Uint8Array {
  const path = parent.length === 0 ? name : concat([parent, utf8("/"), name]);
  if (equalBytes(name.subarray(0, WHITEOUT.length), WHITEOUT)) {
    throw inputError(`${subject}: ${displayBytes(path)}`, "has a name that means a removal in layers; rename it");
  }
  return path;
}

function isWhiteoutDevice(leaf: Leaf): boolean {
  return leaf.kind === "char" && leaf.rdev === 0;
}
