/** A root filesystem as the chain takes it: the tree, and a way to the content of those files that must be read. */

import { displayBytes, utf8 } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { contentSize, type Directory, lookup, type Node, type RegularFile, splitPath } from "./node.ts";
import { KIND_NAMES } from "./toplevel.ts";

/** A tree, with a way to read the contents of its files. */
export interface Rootfs {
  /** What the user calls it, for messages: `/target`, `oci:out:latest`. */
  readonly subject: string;
  readonly root: Directory;
  /**
   * How it is read, which decides what the peers do with it. `mounted`: a directory, or what represents one. Symlinks
   * on the way to a file that seal itself reads (policy, kernel, os-release) are followed if they are relative and stay
   * in the tree; absolute ones are refused, because a peer that follows them reads the host's files. `layers`: an image
   * as it is pulled. Symlinks on the way are an error, and so are boot entries that can't be installed.
   */
  readonly view: "mounted" | "layers";
  /** Of a directory: its absolute path, for another thread that reads its files. */
  readonly directory?: string;
  /** Of a directory: what its mounts show besides the tree. */
  readonly mount?: MountFacts;
  /**
   * Whether PAX headers of layers give other times or owners than the tar headers after them, see
   * `TransformRules.paxOwners`.
   */
  readonly headersDiffer?: boolean;
  /**
   * The content of a regular file of this tree.
   * @param components path of the file itself, symlinks resolved, one name each
   * @throws SealError `input` when it can't be read
   */
  readonly readContent: (components: readonly Uint8Array[], file: RegularFile) => Promise<Uint8Array>;
  /** Of layers: a content that was kept when they were read; null: {@link readContent} has to unpack its layer again. */
  readonly keptContent?: (file: RegularFile) => Uint8Array | null;
  /** Labels that earlier runs gave; absent: they are not kept. */
  readonly labels?: LabelStore | undefined;
}

/** Keeps labels that SELinux policies give, from one run to the next. */
export interface LabelStore {
  /** Labels that were kept; null: none were. @param policy all that they depend on */
  readonly find: (policy: readonly Uint8Array[]) => Promise<Uint8Array | null>;
  /** Keeps labels. */
  readonly keep: (policy: readonly Uint8Array[], labels: Uint8Array) => Promise<void>;
}

/** What a tree that is a directory was read from; paths are readable and relative to it. */
export interface MountFacts {
  /** What is mounted in it. */
  readonly mounted: readonly string[];
  /**
   * Directories that were changed last by something that is not in them any more, or by a change of their time only.
   */
  readonly touched: readonly string[];
  /** Whether such directories may be missing in the layers that a builder makes of it. */
  readonly dropsTouched: boolean;
}

/** What {@link resolvePath} finds: a node and its path with symlinks resolved. */
export interface Resolved {
  readonly components: readonly Uint8Array[];
  readonly node: Node;
}

/** The most bytes of a file that is a text, a package database of dpkg too. It fits into a string. */
export const TEXT_LIMIT = 64n << 20n;
/** The most bytes of any file that is needed whole: an initramfs, a program, a database of rpm. */
export const PROGRAM_LIMIT = 1n << 30n;

/** As many symlinks as Linux follows on one path. */
const SYMLINK_LIMIT = 40;

/**
 * Finds a path in the tree.
 * @returns null when there is nothing at that path
 * @throws SealError `input` for a symlink that {@link Rootfs.view} does not allow, or a loop of them
 */
export function resolvePath(rootfs: Rootfs, path: string): Resolved | null {
  const pending = splitPath(utf8(path)).reverse();
  const stack: { name: Uint8Array; node: Node }[] = [];
  let followed = 0;
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    const parent = stack.at(-1)?.node ?? rootfs.root;
    if (name.length === 2 && name[0] === 0x2e && name[1] === 0x2e) {
      if (stack.pop() === undefined) throw inputError(rootfs.subject, `${path}: a symlink leads out of the tree`);
      continue;
    }
    if (parent.kind !== "directory") return null;
    const node = lookup(parent, name);
    if (node === undefined) return null;
    if (node.kind !== "symlink") {
      stack.push({ name, node });
      continue;
    }
    const where = `${path}: symlink to ${displayBytes(node.target)}`;
    if (rootfs.view === "layers") throw inputError(rootfs.subject, `${where}; a regular path is needed here`);
    if (node.target[0] === 0x2f) {
      throw inputError(
        rootfs.subject,
        `${where}, which is absolute and would be read from this machine; make it relative`,
      );
    }
    if (++followed > SYMLINK_LIMIT) throw inputError(rootfs.subject, `${path}: too many symlinks`);
    pending.push(...splitPath(node.target).reverse());
  }
  return { components: stack.map((step) => step.name), node: stack.at(-1)?.node ?? rootfs.root };
}

/**
 * Reads a regular file of the tree by path.
 * @param limit bytes that it may have
 * @returns null when there is nothing at that path
 * @throws SealError `input` when it is not a regular file, is larger, is reached through a refused
 *   symlink or can't be read
 */
export async function readTreeFile(rootfs: Rootfs, path: string, limit = TEXT_LIMIT): Promise<Uint8Array | null> {
  const found = resolvePath(rootfs, path);
  if (found === null) return null;
  if (found.node.kind !== "regular")
    throw inputError(rootfs.subject, `${path}: is a ${KIND_NAMES[found.node.kind]}, not a regular file`);
  return readNode(rootfs, found.components, found.node, limit);
}

/**
 * Reads a regular file that was found in the tree.
 * @param components its path, one name each
 * @param limit bytes that it may have
 * @throws SealError `input` when it is larger or can't be read
 */
export async function readNode(
  rootfs: Rootfs,
  components: readonly Uint8Array[],
  file: RegularFile,
  limit = TEXT_LIMIT,
): Promise<Uint8Array> {
  const size = contentSize(file);
  if (size > limit) {
    const path = components.map(displayBytes).join("/");
    throw inputError(rootfs.subject, `${path}: too large: ${size} bytes, the limit is ${limit}; is it the right file?`);
  }
  return file.content.kind === "inline" ? file.content.bytes : rootfs.readContent(components, file);
}
