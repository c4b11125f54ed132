/**
 * Reads EROFS images of the three composefs formats back into a tree: those that seal, cfsctl and mkcomposefs write.
 *
 * Nothing is trusted: every offset is checked, an inode is read once however many names it has, a directory
 * occurs in one place, and no more is read than the image has bytes, so work and memory are bounded by its size.
 */
import { Cursor, compareBytes, displayBytes } from "../bytes.ts";
import { hardlinks, type Links } from "../tree/links.ts";
import { type Directory, type Entry, type Leaf, NAME_MAX, type Node, type NodeKind } from "../tree/node.ts";
import { BLOCK_SIZE, DIRENT_SIZE, DIRENT_TYPES } from "./format.ts";
import { isStub } from "./inodes.ts";
import { ImageBytes, type RawInode } from "./reader-inode.ts";
import { DirectoryMarks, isMarkedWhiteout, makeDirectory, makeLeaf, makeWhiteout } from "./reader-node.ts";
import type { ErofsVersion } from "./series.ts";

/** An EROFS image that was read: its tree and format. */
export interface ErofsImage {
  readonly erofs: ErofsVersion;
  /** The tree without what the format adds: stubs, marks, overlay xattrs and escapes. */
  readonly root: Directory;
  /** Inodes whose stored link count is not that of the tree, as mkcomposefs may write them; for `writeErofs`. */
  readonly links: ReadonlyMap<Leaf, Links>;
}

/**
 * Reads an image.
 * @param bytes the whole image
 * @param subject names the image in messages
 * @throws SealError `input` for anything that is not at a sound image of these formats
 */
export function readErofs(bytes: Uint8Array, subject: string): ErofsImage {
  const image = new ImageBytes(new Cursor(bytes, subject));
  const { directories, leaves } = readStructure(image);
  const { root, nodes } = buildTree(image, directories, leaves);
  return { erofs: image.erofs, root, links: differingLinks(root, leaves, nodes) };
}

interface RawEntry {
  readonly name: Uint8Array;
  readonly nid: number;
}

interface RawDirectory {
  readonly nid: number;
  readonly inode: RawInode;
  readonly entries: readonly RawEntry[];
}

interface RawLeaf {
  readonly inode: RawInode;
  names: number;
}

interface Structure {
  /** Each before those in it. */
  readonly directories: readonly RawDirectory[];
  readonly leaves: ReadonlyMap<number, RawLeaf>;
}

/** Follows all entries from the root. */
function readStructure(image: ImageBytes): Structure {
  const directories: RawDirectory[] = [];
  const leaves = new Map<number, RawLeaf>();
  const seen = new Set([image.rootNid]);
  const pending = [{ nid: image.rootNid, parent: image.rootNid, inode: image.inode(image.rootNid) }];
  if (pending[0]?.inode.kind !== "directory") image.fail("corrupt: the root is not a directory");
  for (let index = 0; index < pending.length; index++) {
    const { nid, parent, inode } = pending[index] as (typeof pending)[number];
    const entries: RawEntry[] = [];
    let subdirectories = 0;
    for (const entry of readDirectory(image, inode, `directory ${nid}`, { self: nid, parent })) {
      const type = entry.type;
      entries.push(entry);
      const known = leaves.get(entry.nid);
      if (known !== undefined) {
        known.names++;
        checkType(image, entry, known.inode.kind, type);
        continue;
      }
      if (seen.has(entry.nid)) image.fail(`corrupt: the directory ${entry.nid} is in two places`);
      const child = image.inode(entry.nid);
      checkType(image, entry, child.kind, type);
      if (child.kind !== "directory") {
        leaves.set(entry.nid, { inode: child, names: 1 });
        continue;
      }
      subdirectories++;
      seen.add(entry.nid);
      pending.push({ nid: entry.nid, parent: nid, inode: child });
    }
    if (inode.links !== subdirectories + 2) image.fail(`corrupt: the link count of directory ${nid} is ${inode.links}`);
    directories.push({ nid, inode, entries });
  }
  return { directories, leaves };
}

function checkType(image: ImageBytes, entry: RawEntry, kind: NodeKind, type: number): void {
  if (DIRENT_TYPES[kind] !== type)
    image.fail(`corrupt: the entry ${displayBytes(entry.name)} has another type than its inode`);
}

/** The entries of a directory without `.` and `..`, which must be there and right. */
function* readDirectory(
  image: ImageBytes,
  inode: RawInode,
  what: string,
  dots: { readonly self: number; readonly parent: number },
): Generator<RawEntry & { readonly type: number }> {
  const { blocks, tail } = image.data(inode, what);
  if (blocks.length % BLOCK_SIZE !== 0) image.fail(`corrupt: ${what} does not fill its blocks`);
  let last: Uint8Array | null = null;
  let dotsSeen = 0;
  for (let offset = 0; offset < blocks.length + tail.length; offset += BLOCK_SIZE) {
    const part = offset < blocks.length ? blocks.subarray(offset, offset + BLOCK_SIZE) : tail;
    for (const entry of readDirectoryPart(image, part, what)) {
      if (last !== null && compareBytes(last, entry.name) >= 0) image.fail(`corrupt: ${what} is not sorted`);
      last = entry.name;
      const dot = dotLength(entry.name);
      if (dot === 0) {
        yield entry;
        continue;
      }
      dotsSeen++;
      if (entry.nid !== (dot === 1 ? dots.self : dots.parent))
        image.fail(`corrupt: . or .. of ${what} points elsewhere`);
    }
  }
  if (dotsSeen !== 2) image.fail(`corrupt: ${what} lacks . or ..`);
}

function dotLength(name: Uint8Array): 0 | 1 | 2 {
  if (name.length > 2 || name[0] !== 0x2e) return 0;
  if (name.length === 1) return 1;
  return name[1] === 0x2e ? 2 : 0;
}

/** A block or tail: headers, then names; each name ends where the next one begins, the last one at a NUL or the end. */
function* readDirectoryPart(
  image: ImageBytes,
  part: Uint8Array,
  what: string,
): Generator<RawEntry & { readonly type: number }> {
  const cursor = new Cursor(part, `${image.cursor.subject}: ${what}`);
  const namesStart = cursor.u16(8, "its first entry");
  if (namesStart === 0 || namesStart % DIRENT_SIZE !== 0) image.fail(`corrupt: the names of ${what} are out of place`);
  for (let at = 0; at < namesStart; at += DIRENT_SIZE) {
    const start = cursor.u16(at + 8, "an entry");
    const isLast = at + DIRENT_SIZE === namesStart;
    const nul = isLast ? part.indexOf(0, start) : -1;
    const end = isLast ? (nul < 0 ? part.length : nul) : cursor.u16(at + DIRENT_SIZE + 8, "an entry");
    const name = cursor.slice(start, end - start, "a name").slice();
    if (start < namesStart || name.length === 0 || name.length > NAME_MAX || name.includes(0) || name.includes(0x2f)) {
      image.fail(`corrupt: ${what} has an impossible name`);
    }
    const nid = cursor.u64(at, "an entry");
    if (nid > BigInt(Number.MAX_SAFE_INTEGER)) image.fail(`corrupt: ${what} points outside the image`);
    yield { name, nid: Number(nid), type: cursor.u8(at + 10, "an entry") };
  }
}

/** Makes the nodes, children first. */
function buildTree(image: ImageBytes, directories: readonly RawDirectory[], leaves: Structure["leaves"]) {
  const nodes = new Map<number, Node>();
  const whiteouts = new Set<Node>();
  let root: Directory | undefined;
  for (let index = directories.length - 1; index >= 0; index--) {
    const { nid, inode, entries } = directories[index] as RawDirectory;
    const marks = new DirectoryMarks(image.erofs, inode);
    const children = entries.map((entry): Entry => {
      const known = nodes.get(entry.nid);
      if (known !== undefined) return { name: entry.name, node: known };
      const leaf = leaves.get(entry.nid) as RawLeaf;
      const isWhiteout = marks.present && leaf.names === 1 && isMarkedWhiteout(leaf.inode);
      const node = isWhiteout ? makeWhiteout(image, leaf.inode) : makeLeaf(image, leaf.inode, `inode ${entry.nid}`);
      if (isWhiteout) {
        marks.used = true;
        whiteouts.add(node);
      } else if (image.erofs !== "v2" && index > 0 && node.kind === "char" && node.rdev === 0) {
        refuseWhiteout(image, entry.name);
      }
      nodes.set(entry.nid, node);
      return { name: entry.name, node };
    });
    root = makeDirectory(image, inode, children, { isRoot: index === 0, marks });
    nodes.set(nid, root);
  }
  return { root: withoutStubs(image, root as Directory, whiteouts), nodes };
}

/** V0 and V1 have no whiteouts as such but the stubs of the root. */
function withoutStubs(image: ImageBytes, root: Directory, whiteouts: ReadonlySet<Node>): Directory {
  if (image.erofs === "v2") return root;
  const entries = root.entries.filter(({ name, node }) => whiteouts.has(node) || !isStub(root, name, node));
  for (const { name, node } of entries) {
    if (node.kind === "char" && node.rdev === 0 && !whiteouts.has(node)) refuseWhiteout(image, name);
  }
  return { ...root, entries };
}

function refuseWhiteout(image: ImageBytes, name: Uint8Array): never {
  image.fail(`corrupt: ${displayBytes(name)} is a whiteout, which these formats store differently`);
}

function differingLinks(
  root: Directory,
  leaves: Structure["leaves"],
  nodes: ReadonlyMap<number, Node>,
): ReadonlyMap<Leaf, Links> {
  const wrong = new Map<Leaf, number>();
  for (const [nid, { inode, names }] of leaves) {
    if (inode.links !== names) wrong.set(nodes.get(nid) as Leaf, inode.links);
  }
  if (wrong.size === 0) return new Map();
  const known = hardlinks(root);
  const links = new Map<Leaf, Links>();
  const pending = [root];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    for (const entry of directory.entries) {
      if (entry.node.kind === "directory") pending.push(entry.node);
      else if (wrong.has(entry.node)) {
        const first = known.get(entry.node)?.first ?? entry;
        links.set(entry.node, { first, count: wrong.get(entry.node) as number });
      }
    }
  }
  return links;
}
