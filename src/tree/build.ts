/**
 * Builds a tree from entries in the order of archives: the layers of a container image, one after the other, onto an
 * empty root. As composefs-rs does it when bootc pulls an image.
 */
import { displayBytes, latin1 } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { Names } from "./names.ts";
import {
  type Directory,
  type Entry,
  type ExternalContent,
  type InlineContent,
  type Leaf,
  type Metadata,
  NAME_MAX,
  type Node,
  XATTR_NAME_MAX,
  XATTR_VALUE_MAX,
} from "./node.ts";
import { leafOf, withEntries, XattrLists } from "./rebuild.ts";

/** An entry of an archive; `Content` is what is known of a regular file. */
export interface LayerEntry<Content = InlineContent | ExternalContent> {
  readonly path: Uint8Array;
  /** Of hardlinks it does not count. */
  readonly metadata: Metadata;
  readonly item:
    | { readonly kind: "directory" }
    | { readonly kind: "regular"; readonly content: Content }
    | { readonly kind: "symlink"; readonly target: Uint8Array }
    | { readonly kind: "char" | "block"; readonly rdev: number }
    | { readonly kind: "fifo" }
    | { readonly kind: "hardlink"; readonly target: Uint8Array };
  /** Whether a PAX header says another time or owner than the tar header. */
  readonly headersDiffer?: boolean;
}

/**
 * Sees what the finished tree does not show. Paths are names joined by `/`, each byte as the character of that number.
 */
export interface BuildWatcher {
  /** A file that an entry removed or replaced; it may have other names still. */
  readonly hidden: (path: string, content: InlineContent | ExternalContent) => void;
  /**
   * A directory that has no entry before what is in it. With a watcher it is made up as container engines do,
   * without one it is an error.
   */
  readonly implied: (path: string) => void;
}

/**
 * A directory that still changes. Children are known by their names as latin1 text. A directory of a finished tree stays
 * one until something in it changes.
 */
interface Draft {
  metadata: Metadata;
  readonly children: Map<string, Draft | Node>;
}

/** A path in an archive, split into names. */
interface SplitPath {
  /** All before the name, with a slash at its end; empty: it can't be compared with others. */
  readonly prefix: string;
  /** Of the directories above. */
  readonly names: readonly string[];
  /** Undefined: the root. */
  readonly name: string | undefined;
  /** Whether it is in the same directory as the entry before. */
  readonly isBesideLast: boolean;
}

const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";
/** What composefs-rs gives a root that no layer describes. */
const UNKNOWN_ROOT: Metadata = { mode: 0, uid: 0, gid: 0, mtimeSec: 0n, mtimeNsec: 0, xattrs: [] };
/**
 * What container engines give a directory that no layer describes, but for its time, which is that of the extraction.
 */
const IMPLIED_DIRECTORY: Metadata = { ...UNKNOWN_ROOT, mode: 0o755 };

export class TreeBuilder {
  readonly #subject: string;
  readonly #watcher: BuildWatcher | null;
  readonly #xattrs = new XattrLists();
  readonly #root: Draft;
  /** The directory that the entry before is in, which mostly is that of the next one; null: it may be gone. */
  #last: { readonly prefix: string; readonly names: readonly string[]; readonly parent: Draft } | null = null;

  /**
   * @param subject the root filesystem in messages
   * @param base what another builder made of the entries before, which is not changed; null: there are none
   */
  constructor(subject: string, watcher: BuildWatcher | null = null, base: Directory | null = null) {
    this.#subject = subject;
    this.#watcher = watcher;
    this.#root = base === null ? { metadata: UNKNOWN_ROOT, children: new Map() } : draftOf(base);
  }

  /**
   * Applies one entry. A directory over a directory takes the new metadata and keeps its entries; all else replaces.
   * Whiteouts (`.wh.name`, `.wh..wh..opq`) remove what came before, in the same layer too.
   * @throws SealError `input` for a path with `..`, a parent that is missing or no directory, and a hardlink to
   *   nothing or to a directory
   */
  add(entry: LayerEntry): void {
    // Made when it is needed: a layer may have a million entries.
    const where = () => `${this.#subject}: ${displayBytes(entry.path)}`;
    const { prefix, names, name, isBesideLast } = this.#split(latin1(entry.path), where);
    const metadata = this.#checked(entry.metadata, where);
    if (name === undefined) {
      if (entry.item.kind !== "directory") throw inputError(where(), "is the root, but not a directory");
      this.#root.metadata = metadata;
      return;
    }
    const made = this.#make(entry, metadata, where);
    const parent = isBesideLast && this.#last !== null ? this.#last.parent : this.#directory(names, where);
    this.#last = { prefix, names, parent };
    if (name === OPAQUE) {
      this.#last = null;
      for (const child of parent.children.keys()) this.#hide(names, parent, child);
      parent.children.clear();
    } else if (name.startsWith(WHITEOUT)) {
      this.#last = null;
      this.#hide(names, parent, name.slice(WHITEOUT.length));
      parent.children.delete(name.slice(WHITEOUT.length));
    } else {
      const old = parent.children.get(name);
      if (isDraft(made) && old !== undefined && isDirectory(old)) {
        openIn(parent, name, old).metadata = made.metadata;
      } else {
        if (old !== undefined && isDraft(old)) this.#last = null;
        this.#hide(names, parent, name);
        parent.children.set(name, made);
      }
    }
  }

  /** @param path latin1 text */
  #split(path: string, where: () => string): SplitPath {
    const end = path.endsWith("/") ? path.length - 1 : path.length;
    const start = path.lastIndexOf("/", end - 1) + 1;
    const last = this.#last;
    if (last !== null && start > 0 && start === last.prefix.length && path.startsWith(last.prefix)) {
      const name = path.slice(start, end);
      const isPlain = name !== "" && name !== "." && name !== ".." && name.length <= NAME_MAX && !name.includes("\0");
      if (isPlain) return { prefix: last.prefix, names: last.names, name, isBesideLast: true };
    }
    const names = componentsOf(path, where);
    const name = names.pop();
    return { prefix: name === path.slice(start, end) ? path.slice(0, start) : "", names, name, isBesideLast: false };
  }

  /** Reports all files at and below a name that is about to be removed to the watcher. */
  #hide(names: readonly string[], parent: Draft, name: string): void {
    const watcher = this.#watcher;
    const gone = parent.children.get(name);
    if (watcher === null || gone === undefined) return;
    const pending: [string, Draft | Node][] = [[[...names, name].join("/"), gone]];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const [path, node] = next;
      if (isDraft(node)) for (const [child, below] of node.children) pending.push([`${path}/${child}`, below]);
      else if (node.kind === "directory") {
        for (const entry of node.entries) pending.push([`${path}/${latin1(entry.name)}`, entry.node]);
      } else if (node.kind === "regular") watcher.hidden(path, node.content);
    }
  }

  /** The tree of all entries so far. */
  finish(): Directory {
    interface Frame {
      readonly draft: Draft;
      readonly name: string;
      /** Those of its entries, in order: of latin1 text that is the order of the bytes. */
      readonly names: readonly string[];
      next: number;
      readonly entries: Entry[];
    }
    const open = (draft: Draft, name: string): Frame => {
      return { draft, name, names: [...draft.children.keys()].sort(), next: 0, entries: [] };
    };
    const bytes = new Names();
    const stack = [open(this.#root, "")];
    for (;;) {
      const frame = stack[stack.length - 1] as Frame;
      const name = frame.names[frame.next++];
      if (name !== undefined) {
        const node = frame.draft.children.get(name) as Draft | Node;
        if (isDraft(node)) stack.push(open(node, name));
        else frame.entries.push({ name: bytes.bytes(name), node });
        continue;
      }
      const directory = withEntries(frame.draft.metadata, frame.entries);
      stack.pop();
      const parent = stack[stack.length - 1];
      if (parent === undefined) return directory;
      parent.entries.push({ name: bytes.bytes(frame.name), node: directory });
    }
  }

  #make({ item }: LayerEntry, metadata: Metadata, where: () => string): Draft | Leaf {
    if (item.kind === "directory") return { metadata, children: new Map() };
    if (item.kind !== "hardlink") return leafOf(item, metadata);
    const names = componentsOf(latin1(item.target), where);
    const last = names.pop();
    const target = last === undefined ? this.#root : this.#directory(names, where).children.get(last);
    if (target === undefined)
      throw inputError(where(), `is a hardlink to ${displayBytes(item.target)}, which is not there`);
    if (isDirectory(target)) throw inputError(where(), `is a hardlink to the directory ${displayBytes(item.target)}`);
    return target;
  }

  #directory(names: readonly string[], where: () => string): Draft {
    let place = this.#root;
    for (const [depth, name] of names.entries()) {
      const next = place.children.get(name) ?? this.#imply(place, names.slice(0, depth + 1), where);
      if (!isDirectory(next)) throw inputError(where(), `its parent ${displayName(name)} is not a directory`);
      place = openIn(place, name, next);
    }
    return place;
  }

  #imply(parent: Draft, names: readonly string[], where: () => string): Draft {
    const last = names.at(-1) ?? "";
    if (this.#watcher === null) {
      throw inputError(
        where(),
        `its parent ${displayName(last)} has no entry before it, and bootc refuses such layers; list every directory in them, or write the image anew with seal image --from dir:PATH`,
      );
    }
    const made: Draft = { metadata: IMPLIED_DIRECTORY, children: new Map() };
    parent.children.set(last, made);
    this.#watcher.implied(names.join("/"));
    return made;
  }

  #checked(metadata: Metadata, where: () => string): Metadata {
    for (const { name, value } of metadata.xattrs) {
      if (name.length === 0 || name.length > XATTR_NAME_MAX || value.length > XATTR_VALUE_MAX) {
        throw inputError(where(), `the xattr ${displayBytes(name)} is too long for a filesystem`);
      }
    }
    const xattrs = this.#xattrs.intern(metadata.xattrs);
    return xattrs === metadata.xattrs ? metadata : { ...metadata, xattrs };
  }
}

function isDraft(node: Draft | Node): node is Draft {
  return "children" in node;
}

function isDirectory(node: Draft | Node): node is Draft | Directory {
  return isDraft(node) || node.kind === "directory";
}

/** A directory that has this name in another one, to be changed there. */
function openIn(parent: Draft, name: string, directory: Draft | Directory): Draft {
  if (isDraft(directory)) return directory;
  const draft = draftOf(directory);
  parent.children.set(name, draft);
  return draft;
}

function draftOf(directory: Directory): Draft {
  return { metadata: directory, children: new Map(directory.entries.map(({ name, node }) => [latin1(name), node])) };
}

/** The names of a path, each byte as the character of that number; a leading slash, empty ones and `.` are dropped. */
function componentsOf(path: string, where: () => string): string[] {
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  for (const name of names) {
    if (name === "..") throw inputError(where(), 'a path with ".." has no place in a layer');
    if (name.length > NAME_MAX)
      throw inputError(where(), `the name ${displayName(name)} is longer than ${NAME_MAX} bytes`);
    if (name.includes("\0")) throw inputError(where(), "a name with a NUL byte is impossible");
  }
  return names;
}

function displayName(name: string): string {
  return displayBytes(Buffer.from(name, "latin1"));
}
