/**
 * The entries of a layer that changes a tree and says nothing else: a whiteout takes a path away, a file is added. All
 * directories on the way are listed as they are, because unpacking a layer changes the times of those that it does not
 * list, and for bootc one that has no entry at all is an error.
 */
import { compareBytes, displayBytes, equalBytes, latin1, utf8 } from "../bytes.ts";
import { type Chunks, concat } from "../chunks.ts";
import type { LayerEntry } from "./build.ts";
import {
  type Directory,
  type ExternalContent,
  type InlineContent,
  lookup,
  type Metadata,
  type Node,
  sortEntries,
  splitPath,
} from "./node.ts";
import { withEntries } from "./rebuild.ts";

/** What a layer does to a tree. Paths are relative to the root. */
export interface TreeChanges {
  /** Paths that go, with all that is below them. */
  readonly remove: readonly Uint8Array[];
  readonly add: readonly AddedFile[];
  /** Directories that are there and get other metadata. */
  readonly describe?: readonly { readonly path: Uint8Array; readonly metadata: Metadata }[];
  /** Of files that are added. */
  readonly file: Metadata;
  /** Of directories that are not there yet. */
  readonly directory: Metadata;
}

export interface AddedFile {
  readonly path: Uint8Array;
  readonly content: Chunks;
}

/** A name in a directory that is changed itself, or has something below it that is. */
interface Change {
  readonly name: Uint8Array;
  readonly below: Map<string, Change>;
  isRemoved: boolean;
  content: Chunks | null;
  metadata: Metadata | null;
}

const WHITEOUT_PREFIX = ".wh.";
/** The metadata of whiteouts is ignored. */
const WHITEOUT: Metadata = { mode: 0o600, uid: 0, gid: 0, mtimeSec: 0n, mtimeNsec: 0, xattrs: [] };

/**
 * The entries in the order of an archive: a directory before what is in it, whiteouts before all else there, names
 * sorted by bytes. What is removed must not be added again in the same layer: tools disagree on what that means.
 * @param root the tree that the layer comes on top of
 * @returns none when nothing changes
 */
export function upperLayer(root: Directory, changes: TreeChanges): readonly LayerEntry<Chunks>[] {
  const top = unchanged(new Uint8Array());
  for (const path of changes.remove) changeAt(top, path).isRemoved = true;
  for (const { path, content } of changes.add) changeAt(top, path).content = content;
  for (const { path, metadata } of changes.describe ?? []) changeAt(top, path).metadata = metadata;
  return entriesBelow(top, root, new Uint8Array(), changes);
}

function changeAt(top: Change, path: Uint8Array): Change {
  let place = top;
  for (const name of splitPath(path)) {
    const key = latin1(name);
    const next = place.below.get(key) ?? unchanged(name);
    place.below.set(key, next);
    place = next;
  }
  return place;
}

function unchanged(name: Uint8Array): Change {
  return { name, below: new Map(), isRemoved: false, content: null, metadata: null };
}

/** @param above path of the directory, with a slash at its end where it is not the root */
function entriesBelow(
  { below }: Change,
  directory: Directory | null,
  above: Uint8Array,
  changes: TreeChanges,
): LayerEntry<Chunks>[] {
  const sorted = [...below.values()].sort((a, b) => compareBytes(a.name, b.name));
  const whiteouts = sorted.filter(({ isRemoved }) => isRemoved);
  const entries: LayerEntry<Chunks>[] = whiteouts.map(({ name }) => ({
    path: concat([above, utf8(WHITEOUT_PREFIX), name]),
    metadata: WHITEOUT,
    item: { kind: "regular", content: [] },
  }));
  for (const change of sorted) {
    const path = concat([above, change.name]);
    const { content } = change;
    if (content !== null) entries.push({ path, metadata: changes.file, item: { kind: "regular", content } });
    if (change.below.size === 0 && change.metadata === null) continue;
    const old = directory === null ? undefined : lookup(directory, change.name);
    const kept = old?.kind === "directory" ? old : null;
    const metadata = change.metadata ?? kept ?? changes.directory;
    entries.push({ path, metadata, item: { kind: "directory" } });
    entries.push(...entriesBelow(change, kept, concat([path, utf8("/")]), changes));
  }
  return entries;
}

/** An entry whose content is known as a tree knows it. */
type TreeEntry = LayerEntry<InlineContent | ExternalContent>;

/**
 * A tree with the entries of {@link upperLayer} on top.
 * @returns a new tree that shares with the given one what did not change
 */
export function withUpperLayer(root: Directory, entries: readonly TreeEntry[]): Directory {
  return entries.reduce((tree, entry) => withEntry(tree, splitPath(entry.path), entry), root);
}

function withEntry(directory: Directory, [name, ...rest]: readonly Uint8Array[], entry: TreeEntry): Directory {
  if (name === undefined) throw new Error("an entry of an upper layer has no name");
  const isLast = rest.length === 0;
  const isWhiteout = isLast && latin1(name).startsWith(WHITEOUT_PREFIX);
  const own = isWhiteout ? name.subarray(WHITEOUT_PREFIX.length) : name;
  const old = lookup(directory, own);
  const others = directory.entries.filter((other) => other.node !== old || !equalBytes(other.name, own));
  if (isWhiteout) return withEntries(directory, others);
  const node = isLast ? placed(old, entry) : old?.kind === "directory" ? withEntry(old, rest, entry) : null;
  if (node === null) throw new Error(`${displayBytes(entry.path)}: an entry of an upper layer has no parent`);
  return withEntries(directory, sortEntries([...others, { name: own, node }]));
}

function placed(old: Node | undefined, { metadata, item }: TreeEntry): Node {
  if (item.kind === "hardlink") throw new Error("an upper layer has no hardlinks");
  if (item.kind !== "directory") return { ...metadata, ...item };
  return withEntries(metadata, old?.kind === "directory" ? old.entries : []);
}
