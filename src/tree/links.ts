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
  const found = new Set<Leaf>();
  const several = new Set<Leaf>();
  eachLeaf(root, (_, leaf) => {
    const { size } = found;
    // One question instead of two: a set grows only by what is new.
    if (found.add(leaf).size === size) several.add(leaf);
  });
  const links = new Map<Leaf, Links>();
  if (several.size === 0) return links;
  eachLeaf(root, (entry, leaf) => {
    if (!several.has(leaf)) return;
    const known = links.get(leaf);
    links.set(leaf, { first: known?.first ?? entry, count: (known?.count ?? 0) + 1 });
  });
  return links;
}

/** As {@link allEntries} goes, but without giving way at each entry: this is done for every image. */
function eachLeaf(root: Directory, visit: (entry: Entry, leaf: Leaf) => void): void {
  const directories = new Set([root]);
  const path: { readonly entries: readonly Entry[]; next: number }[] = [{ entries: root.entries, next: 0 }];
  for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
    const { entries } = top;
    let index = top.next;
    let below: Directory | null = null;
    while (below === null && index < entries.length) {
      const entry = entries[index++] as Entry;
      const { node } = entry;
      if (node.kind === "directory") below = node;
      else visit(entry, node);
    }
    top.next = index;
    if (below === null) path.pop();
    else path.push({ entries: entriesOnce(below, directories), next: 0 });
  }
}

/** The entries of a directory, which must not be among the known ones; then it is. */
function entriesOnce(directory: Directory, known: Set<Directory>): readonly Entry[] {
  if (known.has(directory)) throw new Error("a directory stands in the tree twice");
  known.add(directory);
  return directory.entries;
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
    if (entry.node.kind === "directory") path.push({ entries: entriesOnce(entry.node, directories), next: 0 });
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
