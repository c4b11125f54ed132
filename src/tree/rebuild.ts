/**
 * Builds a changed copy of a tree without touching the original: hardlinks stay hardlinks, what does not change is
 * shared with the original, and the depth of the tree costs heap, not stack.
 */
import { latin1 } from "../bytes.ts";
import type { Device, Directory, Entry, Leaf, Metadata, RegularFile, Special, Symlink, Xattr } from "./node.ts";

/**
 * What becomes of each node. `Context` travels from a directory to its entries: a path, a policy, nothing.
 */
export interface Rebuilder<Context> {
  /**
   * A directory, before its entries.
   * @param name its own name; null for the root
   */
  readonly enter: (
    directory: Directory,
    name: Uint8Array | null,
    parent: Context,
  ) => { readonly metadata: Metadata; readonly context: Context };
  /**
   * Anything else, once per name; hardlinks are the visitor's care. Entries come in order, depth
   * first. Null leaves it out.
   */
  readonly leaf: (leaf: Leaf, name: Uint8Array, parent: Context) => Leaf | null;
}

interface Frame<Context> {
  readonly source: Directory;
  readonly metadata: Metadata;
  readonly context: Context;
  readonly entries: Entry[];
  /** How many entries of the source have been looked at. */
  done: number;
  changed: boolean;
}

/** The tree that the visitor makes of `root`. */
export function rebuild<Context>(root: Directory, visitor: Rebuilder<Context>, initial: Context): Directory {
  const open = (source: Directory, name: Uint8Array | null, parent: Context): Frame<Context> => {
    const { metadata, context } = visitor.enter(source, name, parent);
    return { source, metadata, context, entries: [], done: 0, changed: metadata !== source };
  };
  const stack = [open(root, null, initial)];
  for (;;) {
    const frame = stack[stack.length - 1] as Frame<Context>;
    const entry = frame.source.entries[frame.done];
    if (entry !== undefined) {
      if (entry.node.kind === "directory") {
        stack.push(open(entry.node, entry.name, frame.context));
        continue;
      }
      const leaf = visitor.leaf(entry.node, entry.name, frame.context);
      addEntry(frame, entry, leaf);
      continue;
    }
    const result = frame.changed ? withEntries(frame.metadata, frame.entries) : frame.source;
    stack.pop();
    const parent = stack[stack.length - 1];
    if (parent === undefined) return result;
    addEntry(parent, parent.source.entries[parent.done] as Entry, result);
  }
}

function addEntry(frame: Frame<unknown>, old: Entry, node: Entry["node"] | null): void {
  frame.done++;
  if (node === old.node) {
    frame.entries.push(old);
  } else {
    if (node !== null) frame.entries.push({ name: old.name, node });
    frame.changed = true;
  }
}

/** A directory of these entries with the metadata of something else. */
export function withEntries(metadata: Metadata, entries: readonly Entry[]): Directory {
  const { mode, uid, gid, mtimeSec, mtimeNsec, xattrs } = metadata;
  return { kind: "directory", mode, uid, gid, mtimeSec, mtimeNsec, xattrs, entries };
}

/** What a leaf is, apart from its metadata. */
type LeafContent =
  | Pick<RegularFile, "kind" | "content">
  | Pick<Symlink, "kind" | "target">
  | Pick<Device, "kind" | "rdev">
  | Pick<Special, "kind">;

/**
 * A leaf of this kind and content with the metadata of something else. Member by member: what `...` copies is slow where
 * kinds of nodes change.
 */
export function leafOf(leaf: LeafContent, metadata: Metadata): Leaf {
  const { mode, uid, gid, mtimeSec, mtimeNsec, xattrs } = metadata;
  switch (leaf.kind) {
    case "regular":
      return { kind: leaf.kind, content: leaf.content, mode, uid, gid, mtimeSec, mtimeNsec, xattrs };
    case "symlink":
      return { kind: leaf.kind, target: leaf.target, mode, uid, gid, mtimeSec, mtimeNsec, xattrs };
    case "char":
    case "block":
      return { kind: leaf.kind, rdev: leaf.rdev, mode, uid, gid, mtimeSec, mtimeNsec, xattrs };
    case "fifo":
    case "socket":
      return { kind: leaf.kind, mode, uid, gid, mtimeSec, mtimeNsec, xattrs };
  }
}

/**
 * Changes the metadata of every inode, once per inode. A `change` that returns its argument leaves the inode as it is.
 */
export function mapInodes(root: Directory, change: <T extends Metadata>(node: T) => T): Directory {
  const done = new Map<Leaf, Leaf>();
  const visitor: Rebuilder<null> = {
    enter: (directory) => ({ metadata: change(directory), context: null }),
    leaf: (leaf) => {
      let changed = done.get(leaf);
      if (changed === undefined) {
        changed = change(leaf);
        if (changed !== leaf) done.set(leaf, changed);
      }
      return changed;
    },
  };
  return rebuild(root, visitor, null);
}

/**
 * Shares equal xattr lists: equal content gives the same array, so that a million labelled nodes need
 * a few hundred lists.
 */
export class XattrLists {
  readonly #lists = new Map<string, readonly Xattr[]>();
  #empty: readonly Xattr[] | null = null;

  /** @param list sorted by name bytes */
  intern(list: readonly Xattr[]): readonly Xattr[] {
    if (list.length === 0) {
      this.#empty ??= list;
      return this.#empty;
    }
    const key = list.map(({ name, value }) => `${latin1(name)}\0${value.length}\0${latin1(value)}`).join("");
    const known = this.#lists.get(key);
    if (known !== undefined) return known;
    this.#lists.set(key, list);
    return list;
  }
}
