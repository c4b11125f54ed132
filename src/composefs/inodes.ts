/**
 * From a tree to the inodes of an image in their order, with what composefs adds: whiteout stubs in the root, marks on
 * whiteouts that are content, the overlay xattrs of files outside the image (composefs, "EROFS image layout").
 */
import { compareBytes, displayBytes, equalBytes, utf8 } from "../bytes.ts";
import { inputError } from "../errors.ts";
import type { DumpfileDialect } from "../tree/dumpfile.ts";
import { findPath, hardlinks, type Links } from "../tree/links.ts";
import {
  type Directory,
  type Entry,
  type Leaf,
  lookup,
  type Metadata,
  NAME_MAX,
  type Node,
  sortEntries,
  type Xattr,
} from "../tree/node.ts";
import { XATTR } from "./format.ts";
import type { ErofsVersion, VerityAlgorithm } from "./series.ts";

/** How a tree is written as an EROFS image. */
export interface ErofsOptions {
  readonly erofs: ErofsVersion;
  /** Of the digests of files outside of the image. */
  readonly algorithm: VerityAlgorithm;
  /** Whose images to make where the two implementations differ; default `composefs-rs`. */
  readonly dialect?: DumpfileDialect;
  /** What to store about hardlinks where that differs from the tree; see `readDumpfile`. */
  readonly links?: ReadonlyMap<Leaf, Links>;
}

/** The inodes of an image in order. An inode's number is its index. */
export interface Inodes {
  readonly root: Directory;
  readonly nodes: readonly Node[];
  /** Number of each directory's parent; the root's is its own. 0 for everything else. */
  readonly parents: readonly number[];
  /** For a directory: V0, V1 the number of its first own child; V2 the number after the last inode below it. */
  readonly extents: readonly number[];
  /** Inodes with several names, or others than the tree has. */
  readonly links: ReadonlyMap<Leaf, Links>;
  /** Numbers of the inodes in `links`. */
  readonly linked: ReadonlyMap<Leaf, number>;
  /** Whiteouts that are stored as marked regular files. */
  readonly whiteouts: ReadonlySet<Node>;
}

/** The tree as an image has it. */
export function collectInodes(
  tree: Directory,
  { erofs, dialect = "composefs-rs", links: stored }: ErofsOptions,
): Inodes {
  const found = hardlinks(tree);
  refuseHardlinkedWhiteouts(tree, found);
  const links = stored === undefined ? found : new Map([...found, ...stored]);
  if (erofs === "v2") return depthFirst(tree, links);
  const whiteouts = new Set(ownWhiteouts(tree, dialect));
  return breadthFirst(withStubs(tree), links, whiteouts);
}

function refuseHardlinkedWhiteouts(root: Directory, links: ReadonlyMap<Leaf, Links>): void {
  for (const node of links.keys()) {
    if (!isWhiteout(node)) continue;
    const path = displayBytes(findPath(root, (entry) => entry.node === node));
    throw inputError(path, "is a hardlinked whiteout (character device 0:0), which no composefs format can store");
  }
}

function isWhiteout(node: Node): boolean {
  return node.kind === "char" && node.rdev === 0;
}

class Numbering {
  readonly nodes: Node[] = [];
  readonly parents: number[] = [];
  readonly extents: number[] = [];
  readonly linked = new Map<Leaf, number>();
  readonly links: ReadonlyMap<Leaf, Links>;
  /** Most trees have no hardlinks, and then no leaf needs to be looked up. */
  readonly #hasLinks: boolean;

  constructor(links: ReadonlyMap<Leaf, Links>) {
    this.links = links;
    this.#hasLinks = links.size > 0;
  }

  add(node: Node, parent: number): number {
    this.parents.push(parent);
    this.extents.push(0);
    return this.nodes.push(node) - 1;
  }

  /** Numbers a leaf, if this is the place of its inode. */
  addLeaf(entry: Entry, leaf: Leaf): void {
    const links = this.#hasLinks ? this.links.get(leaf) : undefined;
    if (links === undefined) this.add(leaf, 0);
    else if (links.first === entry) this.linked.set(leaf, this.add(leaf, 0));
  }
}

function checkName(root: Directory, entry: Entry): void {
  const { length } = entry.name;
  if (length > 0 && length <= NAME_MAX) return;
  const path = displayBytes(findPath(root, (other) => other === entry));
  throw inputError(path, `file name is longer than ${NAME_MAX} bytes`);
}

/** @param whiteouts those of the root; those below are added */
function breadthFirst(root: Directory, links: ReadonlyMap<Leaf, Links>, whiteouts: Set<Node>): Inodes {
  const numbering = new Numbering(links);
  const { nodes, extents } = numbering;
  numbering.add(root, 0);
  for (let index = 0; index < nodes.length; index++) {
    const node = nodes[index] as Node;
    if (node.kind !== "directory") continue;
    extents[index] = nodes.length;
    for (const entry of node.entries) {
      const child = entry.node;
      checkName(root, entry);
      if (child.kind === "directory") {
        numbering.add(child, index);
        continue;
      }
      numbering.addLeaf(entry, child);
      if (index > 0 && isWhiteout(child)) whiteouts.add(child);
    }
  }
  return { root, ...fields(numbering), whiteouts };
}

function depthFirst(root: Directory, links: ReadonlyMap<Leaf, Links>): Inodes {
  const numbering = new Numbering(links);
  const { extents } = numbering;
  const path = [{ index: numbering.add(root, 0), entries: root.entries, next: 0 }];
  for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
    const entry = top.entries[top.next++];
    if (entry === undefined) {
      extents[top.index] = numbering.nodes.length;
      path.pop();
      continue;
    }
    checkName(root, entry);
    if (entry.node.kind === "directory") {
      path.push({ index: numbering.add(entry.node, top.index), entries: entry.node.entries, next: 0 });
    } else {
      numbering.addLeaf(entry, entry.node);
    }
  }
  return { root, ...fields(numbering), whiteouts: new Set() };
}

function fields({ nodes, parents, extents, links, linked }: Numbering) {
  return { nodes, parents, extents, links, linked };
}

/** The root with a whiteout for each object directory, so that overlayfs does not show those of the object store. */
function withStubs(root: Directory): Directory {
  const stubs: Entry[] = [];
  const metadata = stubMetadata(root);
  for (let value = 0; value < 256; value++) {
    const name = utf8(value.toString(16).padStart(2, "0"));
    if (lookup(root, name) === undefined) stubs.push({ name, node: { kind: "char", ...metadata, rdev: 0 } });
  }
  return { ...root, entries: sortEntries([...root.entries, ...stubs]) };
}

function stubMetadata(root: Directory): Metadata {
  const { uid, gid, mtimeSec, mtimeNsec } = root;
  const xattrs = root.xattrs.filter((xattr) => equalBytes(xattr.name, XATTR.selinux));
  return { mode: 0o644, uid, gid, mtimeSec, mtimeNsec, xattrs };
}

/**
 * The whiteouts in the root of the tree itself; composefs-rs leaves those alone that look like the stub of their name.
 */
function ownWhiteouts(root: Directory, dialect: DumpfileDialect): readonly Node[] {
  const isOwn = ({ name, node }: Entry) =>
    isWhiteout(node) && !(dialect === "composefs-rs" && isStub(root, name, node));
  return root.entries.filter(isOwn).map(({ node }) => node);
}

/** Whether an entry of the root can't be distinguished from the stub of that name. */
export function isStub(root: Directory, name: Uint8Array, node: Node): boolean {
  const stub = stubMetadata(root);
  return (
    isWhiteout(node) &&
    name.length === 2 &&
    name.every((byte) => (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66)) &&
    node.mode === stub.mode &&
    node.uid === stub.uid &&
    node.gid === stub.gid &&
    node.mtimeSec === stub.mtimeSec &&
    node.mtimeNsec === stub.mtimeNsec &&
    node.xattrs.length === stub.xattrs.length &&
    node.xattrs.every((xattr, index) => {
      const other = stub.xattrs[index] as Xattr;
      return compareBytes(xattr.name, other.name) === 0 && compareBytes(xattr.value, other.value) === 0;
    })
  );
}
