/** From the inodes of an image to the nodes of a tree: undoes what composefs adds for overlayfs. */
import { compareBytes, equalBytes } from "../bytes.ts";
import { concat } from "../chunks.ts";
import {
  type Directory,
  type Entry,
  type ExternalContent,
  type Leaf,
  type Metadata,
  type RegularFile,
  sortXattrs,
  type Xattr,
} from "../tree/node.ts";
import { startsWith, WHITEOUT_MARKS, XATTR } from "./format.ts";
import type { ImageBytes, RawInode } from "./reader-inode.ts";
import type { ErofsVersion } from "./series.ts";
import { VERITY_HASHES } from "./verity.ts";
import { metacopyValue, redirectValue } from "./xattr-body.ts";

const EMPTY = new Uint8Array();
const X = Uint8Array.of(0x78);
const Y = Uint8Array.of(0x79);
const FILE_MARKS = WHITEOUT_MARKS.file.map((name): Xattr => ({ name, value: EMPTY }));

/** Whether a directory has the marks of one that holds whiteouts; they are only undone when it does. */
export class DirectoryMarks {
  readonly expected: readonly Xattr[];
  readonly present: boolean;
  used = false;

  constructor(erofs: ErofsVersion, inode: RawInode) {
    const marks = WHITEOUT_MARKS.directory.map((name): Xattr => ({ name, value: EMPTY }));
    if (erofs === "v1") marks.push(...WHITEOUT_MARKS.opaqueDirectory.map((name): Xattr => ({ name, value: X })));
    this.expected = marks;
    this.present = erofs !== "v2" && hasAll(inode.xattrs, marks);
  }
}

export function isMarkedWhiteout(inode: RawInode): boolean {
  return inode.kind === "regular" && inode.size === 0n && inode.layout === "plain" && hasAll(inode.xattrs, FILE_MARKS);
}

export function makeWhiteout(image: ImageBytes, inode: RawInode): Leaf {
  return { kind: "char", ...metadata(image, inode, without(inode.xattrs, FILE_MARKS)), rdev: 0 };
}

export function makeDirectory(
  image: ImageBytes,
  inode: RawInode,
  entries: readonly Entry[],
  { isRoot, marks }: { readonly isRoot: boolean; readonly marks: DirectoryMarks },
): Directory {
  const opaque = [{ name: XATTR.opaque, value: Y }];
  let xattrs = inode.xattrs;
  if (isRoot && image.erofs !== "v2") {
    if (!hasAll(xattrs, opaque)) image.fail("corrupt: the root is not marked as opaque");
    xattrs = without(xattrs, opaque);
  }
  if (marks.used) xattrs = without(xattrs, marks.expected);
  return { kind: "directory", ...metadata(image, inode, xattrs), entries };
}

export function makeLeaf(image: ImageBytes, inode: RawInode, what: string): Leaf {
  const { kind } = inode;
  switch (kind) {
    case "regular":
      return makeFile(image, inode, what);
    case "symlink": {
      const target = wholeData(image, inode, what);
      if (target.length === 0 || target.includes(0)) image.fail(`corrupt: ${what} is a symlink without a valid target`);
      return { kind, ...metadata(image, inode, inode.xattrs), target };
    }
    case "char":
    case "block":
      return { kind, ...metadata(image, inode, inode.xattrs), rdev: inode.union };
    case "fifo":
    case "socket":
      return { kind, ...metadata(image, inode, inode.xattrs) };
    case "directory":
      return image.fail(`corrupt: ${what} is a directory`);
  }
}

function makeFile(image: ImageBytes, inode: RawInode, what: string): RegularFile {
  if (inode.layout !== "chunks") {
    const content = { kind: "inline", bytes: wholeData(image, inode, what) } as const;
    return { kind: "regular", ...metadata(image, inode, inode.xattrs), content };
  }
  const metacopy = find(inode.xattrs, XATTR.metacopy);
  const redirect = find(inode.xattrs, XATTR.redirect);
  if (metacopy === undefined) image.fail(`corrupt: ${what} is stored outside the image, but nothing says where`);
  const overlay = redirect === undefined ? [metacopy] : [metacopy, redirect];
  const content = externalContent(image, inode, { metacopy: metacopy.value, redirect: redirect?.value ?? null }, what);
  return { kind: "regular", ...metadata(image, inode, without(inode.xattrs, overlay)), content };
}

function externalContent(
  image: ImageBytes,
  inode: RawInode,
  { metacopy, redirect }: { readonly metacopy: Uint8Array; readonly redirect: Uint8Array | null },
  what: string,
): ExternalContent {
  const digest = metacopy.length === 0 ? null : metacopy.slice(4);
  const lengths = Object.values(VERITY_HASHES).map((hash) => hash.length);
  if (digest !== null && (!lengths.includes(digest.length) || !equalBytes(metacopy, metacopyValue(digest)))) {
    image.fail(`corrupt: ${what} has an impossible fs-verity digest`);
  }
  if (redirect === null) return { kind: "external", size: inode.size, digest, payload: null };
  if (redirect[0] !== 0x2f) image.fail(`corrupt: ${what} has a redirect that is not absolute`);
  const isDigest = digest !== null && equalBytes(redirect, redirectValue(digest));
  return { kind: "external", size: inode.size, digest, payload: isDigest ? "digest" : redirect.slice(1) };
}

function wholeData(image: ImageBytes, inode: RawInode, what: string): Uint8Array {
  const { blocks, tail } = image.data(inode, what);
  return concat([blocks, tail]);
}

const NO_XATTRS: readonly Xattr[] = [];

function metadata(image: ImageBytes, inode: RawInode, stored: readonly Xattr[]): Metadata {
  const { mode, uid, gid, mtimeSec, mtimeNsec } = inode;
  const xattrs = stored.length === 0 ? NO_XATTRS : sortXattrs(stored.map((xattr) => originalName(image, xattr)));
  for (let index = 1; index < xattrs.length; index++) {
    if (compareBytes((xattrs[index - 1] as Xattr).name, (xattrs[index] as Xattr).name) === 0) {
      image.fail("corrupt: an inode has an xattr twice");
    }
  }
  return { mode, uid, gid, mtimeSec, mtimeNsec, xattrs };
}

function originalName(image: ImageBytes, xattr: Xattr): Xattr {
  if (startsWith(xattr.name, XATTR.escapedPrefix)) {
    const rest = xattr.name.subarray(XATTR.escapedPrefix.length);
    return { name: concat([XATTR.overlayPrefix, rest]), value: xattr.value };
  }
  if (startsWith(xattr.name, XATTR.overlayPrefix)) image.fail("corrupt: an overlay xattr where none belongs");
  return xattr;
}

function isSame(a: Xattr, b: Xattr): boolean {
  return equalBytes(a.name, b.name) && equalBytes(a.value, b.value);
}

function hasAll(xattrs: readonly Xattr[], wanted: readonly Xattr[]): boolean {
  return wanted.every((other) => xattrs.some((xattr) => isSame(xattr, other)));
}

/** The list without one of each of the given ones. */
function without(xattrs: readonly Xattr[], removed: readonly Xattr[]): readonly Xattr[] {
  const left = [...xattrs];
  for (const other of removed) {
    const index = left.findIndex((xattr) => isSame(xattr, other));
    if (index >= 0) left.splice(index, 1);
  }
  return left;
}

function find(xattrs: readonly Xattr[], name: Uint8Array): Xattr | undefined {
  return xattrs.find((xattr) => equalBytes(xattr.name, name));
}
