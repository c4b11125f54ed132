/** What each inode of an image stores as xattrs: its own, and what overlayfs and composefs need. */
import { equalBytes, utf8 } from "../bytes.ts";
import type { ExternalContent, Node, Xattr } from "../tree/node.ts";
import { digestMemory, digestStart } from "../tree/pooled-content.ts";
import { WHITEOUT_MARKS, XATTR } from "./format.ts";
import type { ErofsOptions, Inodes } from "./inodes.ts";
import type { ErofsVersion } from "./series.ts";
import { metacopyValue, redirectValue } from "./xattr-body.ts";
import { storedNames, type XattrList, XattrTable } from "./xattrs.ts";

/** The xattrs of all inodes. */
export interface InodeXattrs {
  readonly table: XattrTable;
  readonly lists: readonly XattrList[];
  /** Inodes whose overlay xattrs are not in their list: files outside of the image whose digest no other file has. */
  readonly alone: Uint8Array;
}

/** What each inode stores as xattrs, and which of these are shared. */
export function collectXattrs(inodes: Inodes, { erofs, dialect = "composefs-rs" }: ErofsOptions): InodeXattrs {
  const table = new XattrTable(erofs, dialect);
  const escaped = new Map<readonly Xattr[], readonly Xattr[]>();
  const marked = markedDirectories(inodes);
  const alone = dialect === "c" ? new Uint8Array(inodes.nodes.length) : uniqueDigests(inodes);
  const allXattrs = (node: Node, index: number, own: readonly Xattr[]): readonly Xattr[] => {
    const added = addedXattrs(inodes, node, index, { erofs, isMarked: marked.has(node) });
    if (added.first.length === 0 && added.last.length === 0) return own;
    return dialect === "c" ? replaced(own, added) : [...added.first, ...own, ...added.last];
  };
  const lists: XattrList[] = new Array(inodes.nodes.length);
  // Most nodes have the xattrs of the one before, as the same array.
  let last: readonly Xattr[] | null = null;
  let own = NO_XATTRS;
  for (let index = 0; index < lists.length; index++) {
    const node = inodes.nodes[index] as Node;
    if (node.xattrs !== last) {
      last = node.xattrs;
      own = last.length === 0 ? NO_XATTRS : storedOnce(last, escaped);
    }
    lists[index] = table.use(alone[index] === 1 ? own : allXattrs(node, index, own));
  }
  table.share();
  return { table, lists, alone };
}

const NO_XATTRS: readonly Xattr[] = [];

function storedOnce(xattrs: readonly Xattr[], known: Map<readonly Xattr[], readonly Xattr[]>): readonly Xattr[] {
  const stored = known.get(xattrs) ?? storedNames(xattrs);
  known.set(xattrs, stored);
  return stored;
}

interface Added {
  readonly first: readonly Xattr[];
  readonly last: readonly Xattr[];
}
const NOTHING: Added = { first: [], last: [] };

function addedXattrs(
  inodes: Inodes,
  node: Node,
  index: number,
  { erofs, isMarked }: { readonly erofs: ErofsVersion; readonly isMarked: boolean },
): Added {
  if (node.kind === "regular" && node.content.kind === "external") {
    return { first: overlayXattrs(node.content), last: [] };
  }
  if (inodes.whiteouts.has(node)) return { first: [], last: marks(WHITEOUT_MARKS.file, "") };
  const last: Xattr[] = [];
  if (isMarked) last.push(...marks(WHITEOUT_MARKS.directory, ""));
  if (isMarked && erofs === "v1") last.push(...marks(WHITEOUT_MARKS.opaqueDirectory, "x"));
  if (index === 0 && erofs !== "v2") last.push(...marks([XATTR.opaque], "y"));
  return last.length === 0 ? NOTHING : { first: [], last };
}

function marks(names: readonly Uint8Array[], value: string): Xattr[] {
  return names.map((name) => ({ name, value: utf8(value) }));
}

/** The overlay xattrs of a file outside of the image, as far as digest and place are known. */
function overlayXattrs({ digest, payload }: ExternalContent): Xattr[] {
  const metacopy = digest === null ? new Uint8Array() : metacopyValue(digest);
  const xattrs: Xattr[] = [{ name: XATTR.metacopy, value: metacopy }];
  if (payload === "digest" && digest !== null) xattrs.push({ name: XATTR.redirect, value: redirectValue(digest) });
  if (payload !== "digest" && payload !== null) {
    xattrs.push({ name: XATTR.redirect, value: Buffer.concat([utf8("/"), payload]) });
  }
  return xattrs;
}

/** mkcomposefs replaces an own xattr of the same name where composefs-rs has both. */
function replaced(own: readonly Xattr[], { first, last }: Added): readonly Xattr[] {
  const added = [...first, ...last];
  return [...own.filter((xattr) => !added.some((other) => equalBytes(other.name, xattr.name))), ...added];
}

function markedDirectories(inodes: Inodes): ReadonlySet<Node> {
  const marked = new Set<Node>();
  if (inodes.whiteouts.size === 0) return marked;
  for (const node of inodes.nodes) {
    if (node.kind === "directory" && node.entries.some((entry) => inodes.whiteouts.has(entry.node))) marked.add(node);
  }
  return marked;
}

/**
 * Marks the files outside the image whose digest occurs once, judged by its first 30 bits, a small integer: digests
 * that agree in these count as equal, and is compared as a whole later. None at all when the place of some file does
 * not follow from its digest, because it might be that of another one.
 */
function uniqueDigests(inodes: Inodes): Uint8Array {
  const { nodes } = inodes;
  const unique = new Uint8Array(nodes.length);
  // A hash table of numbers with linear probing: a map of them would take a multiple of the memory.
  // 0: nothing is there.
  const size = 2 ** Math.ceil(Math.log2(2 * nodes.length + 1));
  const keys = new Int32Array(size);
  const firsts = new Int32Array(size);
  for (let index = 0; index < nodes.length; index++) {
    const node = nodes[index] as Node;
    if (node.kind !== "regular" || node.content.kind !== "external") continue;
    const digests = digestMemory(node.content);
    if (digests === null || node.content.payload !== "digest") return unique.fill(0);
    const key = start30(digests, digestStart(node.content)) + 1;
    let place = key & (size - 1);
    while (keys[place] !== 0 && keys[place] !== key) place = (place + 1) & (size - 1);
    if (keys[place] === 0) {
      keys[place] = key;
      firsts[place] = index;
      unique[index] = 1;
    } else {
      unique[firsts[place] as number] = 0;
    }
  }
  return unique;
}

function start30(bytes: Uint8Array, at: number): number {
  const start = ((bytes[at] ?? 0) << 22) | ((bytes[at + 1] ?? 0) << 14);
  return start | ((bytes[at + 2] ?? 0) << 6) | ((bytes[at + 3] ?? 0) >> 2);
}
