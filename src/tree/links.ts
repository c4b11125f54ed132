/** Which inodes of a tree have several names. */
import type { Directory, Entry, Leaf } from "./node.ts";

/** An inode with two or more names. */
export interface Links {
  /** Its first name, depth first in directory order. */
  readonly first: Entry;
  readonly count: number;
}

/**
 * The nodes with more than one name, in the order of their first names. A directory must have only one.
 * Works in any depth; takes memory for each file of the tree while it runs.
 */
export function hardlinks(root: Directory): ReadonlyMap<Leaf, Links> {
  const firsts = new Map<Leaf, Entry>();
  const links = new Map<Leaf, Links>();
  for (const entry of allEntries(root)) {
    if (entry.node.kind === "directory") continue;
    const first = firsts.get(entry.node);
    if (first === undefined) firsts.set(entry.node, entry);
    else links.set(entry.node, { first, count: (links.get(entry.node)?.count ?? 1) + 1 });
  }
  return links;
}

/** All entries below a directory, depth first in directory order, each directory before what it holds. */
export function* allEntries(root: Directory): Generator<Entry> {
  const directories = new Set([root]);
  const path: { readonly entries: readonly Entry[]; next: number }[] = [{ entries: root.entries, next: 0 }];
  for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
    const entry = top.entries[top.next++];
    if (entry === undefined) {
      path.pop();
      continue;
    }
    yield entry;
    if (entry.node.kind !== "directory") continue;
    if (directories.has(entry.node)) throw new Error("a directory stands in the tree twice");
    directories.add(entry.node);
    path.push({ entries: entry.node.entries, next: 0 });
  }
}

/**
 * The path of an entry or node, with a leading slash, for messages: the first place where `wanted` holds.
 * @returns `/` for the root itself and when nothing is found
 */
export function findPath(root: Directory, wanted: (entry: Entry) => boolean): Uint8Array {
  const path: { readonly entries: readonly Entry[]; next: number }[] = [{ entries: root.entries, next: 0 }];
  for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
    const entry = top.entries[top.next++];
    if (entry === undefined) {
      path.pop();
    } else if (wanted(entry)) {
      const names = path.map((step) => (step.entries[step.next - 1] as Entry).name);
      return Buffer.concat(names.flatMap((name) => [SLASH, name]));
    } else if (entry.node.kind === "directory") {
      path.push({ entries: entry.node.entries, next: 0 });
    }
  }
  return SLASH;
}

const SLASH = Uint8Array.of(0x2f);
