/**
 * What is recorded of a root filesystem that was sealed, to recognise later whether a tree is the same
 * one with other times.
 */
import { containerTransform } from "../tree/container.ts";
import { allEntries } from "../tree/links.ts";
import type { Directory, Metadata } from "../tree/node.ts";
import { mapInodes, withEntries } from "../tree/rebuild.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import { findToplevel, replaceToplevel } from "../tree/toplevel.ts";
import { erofsDigest } from "./digest.ts";
import type { VerityAlgorithm } from "./series.ts";

/** What is recorded of a sealed root filesystem. */
export interface TreeRecord {
  /** Names in it; those in `/boot`, `/sysroot` and `/run` do not count. */
  readonly entries: number;
  /** The latest mtime in it, in seconds since 1970. */
  readonly newest: bigint;
  readonly algorithm: VerityAlgorithm;
  /** The digest of its EROFS image (V1, without SELinux labels) with 0 for all times, lower-case hex. */
  readonly timeless: string;
}

/** Not a part of what is digested, but for the directories themselves. */
const EMPTIED = ["boot", "sysroot"] as const;

/**
 * Describes a root filesystem by what its layers say of it.
 * @param rootfs as it is sealed, before any transform
 * @param algorithm that its files were hashed with
 * @throws SealError `input` when `/usr` is missing, or the format can't store something
 */
export function treeRecord(rootfs: Pick<Rootfs, "root" | "subject">, algorithm: VerityAlgorithm): TreeRecord {
  const known = records.get(rootfs.root)?.find((record) => record.algorithm === algorithm);
  if (known !== undefined) return known;
  const record = describe(rootfs, algorithm);
  records.set(rootfs.root, [...(records.get(rootfs.root) ?? []), record]);
  return record;
}

/** Of trees that were described: annotation and report of one image want the same. */
const records = new WeakMap<Directory, readonly TreeRecord[]>();

function describe({ root: given, subject }: Pick<Rootfs, "root" | "subject">, algorithm: VerityAlgorithm): TreeRecord {
  const emptied = EMPTIED.reduce((tree, name) => withoutEntries(tree, name, subject), given);
  const root = containerTransform(emptied, { xattrs: "allowlist", mtime: "exact" }, subject);
  let entries = 0;
  let newest = 0n;
  for (const { node } of allEntries(root)) {
    entries++;
    if (node.mtimeSec > newest) newest = node.mtimeSec;
  }
  const timeless = mapInodes(root, <T extends Metadata>(node: T): T => ({ ...node, mtimeSec: 0n, mtimeNsec: 0 }));
  return { entries, newest, algorithm, timeless: erofsDigest(timeless, { erofs: "v1", algorithm }).digest };
}

/** Its own time is that of what was put into it. */
function withoutEntries(root: Directory, name: (typeof EMPTIED)[number], subject: string): Directory {
  const directory = findToplevel(root, name, subject);
  if (directory === null) return root;
  return withEntries(root, replaceToplevel(root, name, withEntries({ ...directory, mtimeSec: 0n, mtimeNsec: 0 }, [])));
}
