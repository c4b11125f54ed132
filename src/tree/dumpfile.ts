/**
 * Composefs dump files (composefs-dump(5)): a tree as text, one line a node.
 *
 * The two implementations do not accept the same files and do not read all of them alike, so the reader takes the
 * dialect: `composefs-rs` reads as cfsctl 0.9.4 does, `c` as mkcomposefs 1.0.8. What neither accepts, what would make
 * a tree that Linux can't have (a hardlinked directory, a NUL in a name, 10^9 nanoseconds) and what depends on
 * uninitialised memory there (a digest of the wrong length) is an error in both.
 */
import { isUtf8 } from "node:buffer";
import { compareBytes, displayBytes, latin1 } from "../bytes.ts";
import { inputError, SealError } from "../errors.ts";
import { type DumpfileDialect, type LineFields, parseNode, splitLine, unescapeText } from "./dumpfile-line.ts";
import { hardlinks, type Links } from "./links.ts";
import { type Directory, type Entry, type Leaf, NAME_MAX, type Node } from "./node.ts";

export type { DumpfileDialect } from "./dumpfile-line.ts";
export { writeDumpfile } from "./dumpfile-writer.ts";

export interface Dumpfile {
  readonly root: Directory;
  /**
   * Inodes for which mkcomposefs would store something else than the tree says: it takes the link count from
   * the line, and the inode's place is that of its own line even when an earlier one is a hardlink to it.
   * Empty for `composefs-rs`.
   */
  readonly links: ReadonlyMap<Leaf, Links>;
}

/** Longest path that composefs-rs takes (Linux PATH_MAX). */
const PATH_MAX = 4096;
const SLASH = 0x2f;

/**
 * Reads a dump file.
 * @param subject names the file in messages
 * @throws SealError `input` for anything that the dialect's implementation refuses, with the number of the line
 */
export function parseDumpfile(
  bytes: Uint8Array,
  subject: string,
  dialect: DumpfileDialect = "composefs-rs",
): Directory {
  return readDumpfile(bytes, subject, dialect).root;
}

/** As {@link parseDumpfile}, with what is stored about links where that differs from the tree. */
export function readDumpfile(bytes: Uint8Array, subject: string, dialect: DumpfileDialect): Dumpfile {
  if (dialect === "composefs-rs" && !isUtf8(bytes)) throw inputError(subject, "is not UTF-8; cfsctl refuses it too");
  const builder = new TreeBuilder(dialect);
  let number = 0;
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(0x0a, start);
    const end = newline < 0 ? bytes.length : newline;
    number++;
    try {
      builder.addLine(bytes.subarray(start, end));
    } catch (error) {
      throw error instanceof LineError ? inputError(subject, `line ${number}: ${error.message}`) : error;
    }
    start = end + 1;
  }
  try {
    return builder.finish();
  } catch (error) {
    throw error instanceof LineError ? inputError(subject, error.message) : error;
  }
}

/** What is wrong with a line; {@link readDumpfile} adds where. */
class LineError extends SealError {
  constructor(reason: string) {
    super("input", reason);
  }
}

function refuse(reason: string): never {
  throw new LineError(reason);
}

/** A directory whose entries are still coming. */
interface OpenDirectory extends Directory {
  readonly entries: Entry[];
}

interface PendingLink {
  readonly path: string;
  readonly parent: OpenDirectory;
  readonly name: Uint8Array;
  readonly target: string;
}

class TreeBuilder {
  readonly #dialect: DumpfileDialect;
  /** Everything that has a line so far, by path (latin1); the root's is empty. */
  readonly #nodes = new Map<string, Node>();
  readonly #directories: OpenDirectory[] = [];
  /** Hardlink lines whose target may come later: their places, in the order of the lines. */
  readonly #pending: PendingLink[] = [];
  /** `c` only: the entry of each leaf's own line, and the count given there. */
  readonly #own = new Map<Leaf, Links>();

  constructor(dialect: DumpfileDialect) {
    this.#dialect = dialect;
  }

  addLine(line: Uint8Array): void {
    const rs = this.#dialect === "composefs-rs";
    const trimmed = rs && line.at(-1) === 0x0d ? line.subarray(0, -1) : line;
    if (rs && trimmed.every((byte) => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d))) return;
    if (line.includes(0)) refuse("a NUL byte in the line");
    const fields = splitLine(trimmed, refuse);
    const path = this.#canonicalPath(fields.path);
    const key = latin1(path);
    if (this.#nodes.has(key)) refuse(`${displayPath(path)} is there twice`);
    if (path.length === 0) this.#addRoot(fields);
    else this.#addChild(fields, path, key);
  }

  #addRoot(fields: LineFields): void {
    if (fields.hardlink) refuse("the root can't be a hardlink");
    const { node } = parseNode(fields, this.#dialect, refuse);
    if (node.kind !== "directory") refuse("the root must be a directory");
    this.#add("", node);
  }

  #addChild(fields: LineFields, path: Uint8Array, key: string): void {
    if (this.#nodes.size === 0) refuse(`${displayPath(path)} stands before the root; the first line must be /`);
    const slash = path.lastIndexOf(SLASH);
    const name = path.slice(slash + 1);
    const parent = this.#nodes.get(slash < 0 ? "" : key.slice(0, slash));
    if (parent === undefined) refuse(`the parent directory of ${displayPath(path)} has no line before it`);
    if (parent.kind !== "directory") refuse(`the parent of ${displayPath(path)} is not a directory`);
    if (name.length > NAME_MAX) refuse(`${displayPath(path)}: the name is longer than ${NAME_MAX} bytes`);
    const open = parent as OpenDirectory;
    if (fields.hardlink) {
      this.#addHardlink(fields, key, open, name);
      return;
    }
    const { node, links } = parseNode(fields, this.#dialect, refuse);
    const entry = { name, node };
    open.entries.push(entry);
    this.#add(key, node);
    if (this.#dialect === "c" && node.kind !== "directory") this.#own.set(node, { first: entry, count: links });
  }

  #add(key: string, node: Node): void {
    this.#nodes.set(key, node);
    if (node.kind === "directory") this.#directories.push(node as OpenDirectory);
  }

  #addHardlink(fields: LineFields, key: string, parent: OpenDirectory, name: Uint8Array): void {
    if (fields.payload.length === 1 && fields.payload[0] === 0x2d) refuse("a hardlink without a target");
    const target = latin1(this.#canonicalPath(fields.payload));
    const node = this.#nodes.get(target);
    if (node !== undefined) this.#link(key, parent, name, target, node);
    else if (this.#dialect === "composefs-rs")
      refuse(`no line before this one for the hardlink's target /${displayText(target)}`);
    else this.#pending.push({ path: key, parent, name, target });
  }

  #link(key: string, parent: OpenDirectory, name: Uint8Array, target: string, node: Node): void {
    if (node.kind === "directory") refuse(`hardlink to the directory /${displayText(target)}`);
    parent.entries.push({ name, node });
    this.#nodes.set(key, node);
  }

  finish(): Dumpfile {
    const root = this.#nodes.get("");
    if (root?.kind !== "directory") refuse("no line for the root directory");
    this.#linkPending();
    for (const directory of this.#directories) sortUnique(directory.entries);
    return { root, links: this.#differingLinks(root) };
  }

  /** Targets of late hardlinks may be late hardlinks themselves: goes around until no more is found. */
  #linkPending(): void {
    const ready = this.#pending.filter((link) => this.#nodes.has(link.target));
    const waiting = new Map<string, PendingLink[]>();
    for (const link of this.#pending) {
      if (this.#nodes.has(link.target)) continue;
      const same = waiting.get(link.target);
      if (same === undefined) waiting.set(link.target, [link]);
      else same.push(link);
    }
    for (let link = ready.pop(); link !== undefined; link = ready.pop()) {
      if (this.#nodes.has(link.path)) refuse(`/${displayText(link.path)} is there twice`);
      this.#link(link.path, link.parent, link.name, link.target, this.#nodes.get(link.target) as Node);
      ready.push(...(waiting.get(link.path) ?? []));
      waiting.delete(link.path);
    }
    for (const [target] of waiting) refuse(`no line for the hardlink's target /${displayText(target)}`);
  }

  #differingLinks(root: Directory): ReadonlyMap<Leaf, Links> {
    if (this.#own.size === 0) return new Map();
    const counted = hardlinks(root);
    const differing = new Map<Leaf, Links>();
    for (const [leaf, own] of this.#own) {
      const links = counted.get(leaf);
      if (own.count !== (links?.count ?? 1) || (links !== undefined && links.first !== own.first)) {
        differing.set(leaf, own);
      }
    }
    return differing;
  }

  /** The path without its leading slash. */
  #canonicalPath(field: Uint8Array): Uint8Array {
    const path = unescapeText(field, refuse);
    if (path.length === 0) refuse("an empty path");
    const absolute = path[0] === SLASH;
    if (this.#dialect === "composefs-rs") {
      if (!absolute) refuse(`${displayBytes(path)} does not begin with a slash`);
      if (path.length > PATH_MAX) refuse(`a path of more than ${PATH_MAX} bytes`);
    }
    const relative = absolute ? path.subarray(1) : path;
    if (relative.length > 0) checkComponents(relative);
    return relative;
  }
}

function checkComponents(path: Uint8Array): void {
  for (let start = 0; start <= path.length; ) {
    const slash = path.indexOf(SLASH, start);
    const end = slash < 0 ? path.length : slash;
    const length = end - start;
    if (length === 0) refuse(`${displayPath(path)}: an empty name in the path`);
    if (path[start] === 0x2e && (length === 1 || (length === 2 && path[start + 1] === 0x2e))) {
      refuse(`${displayPath(path)}: . or .. in the path`);
    }
    start = end + 1;
  }
}

/** Sorts the entries of a directory; a name can only be there twice when one of them was a late hardlink. */
function sortUnique(entries: Entry[]): void {
  entries.sort((a, b) => compareBytes(a.name, b.name));
  for (let index = 1; index < entries.length; index++) {
    const { name } = entries[index] as Entry;
    if (compareBytes((entries[index - 1] as Entry).name, name) === 0) refuse(`${displayBytes(name)} is there twice`);
  }
}

function displayPath(path: Uint8Array): string {
  return `/${displayBytes(path)}`;
}

function displayText(latin1: string): string {
  return displayBytes(Buffer.from(latin1, "latin1"));
}
