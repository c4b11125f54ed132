/**
 * What of the metadata of every inode counts: which xattrs, and whether nanoseconds do. It says nothing of places, so
 * the passes that go through a whole tree anyway apply it on their way.
 */
import { equalBytes, utf8 } from "../bytes.ts";
import type { Metadata, Xattr } from "./node.ts";
import { XattrLists } from "./rebuild.ts";
import type { TransformOptions } from "./transform.ts";

const CAPABILITY = utf8("security.capability");
const USER_PREFIX = utf8("user.");

/** Which metadata counts. */
export interface MetadataChoice {
  /** `all`: of the releases that don't filter, and of trees that are not transformed. */
  readonly xattrs: TransformOptions["xattrs"] | "all";
  readonly mtime: TransformOptions["mtime"];
}

/** The metadata that counts of one inode after the other. Equal lists of xattrs become the same array. */
export class KeptMetadata {
  readonly #choice: MetadataChoice;
  readonly #lists = new XattrLists();
  readonly #kept = new Map<readonly Xattr[], readonly Xattr[]>();

  constructor(choice: MetadataChoice) {
    this.#choice = choice;
  }

  /** The xattrs of a list that count; the list itself if all do. */
  xattrs(list: readonly Xattr[]): readonly Xattr[] {
    const { xattrs } = this.#choice;
    if (xattrs === "all" || list.length === 0) return list;
    let result = this.#kept.get(list);
    if (result === undefined) {
      const kept = list.filter(({ name }) => isKept(name, xattrs));
      result = this.#lists.intern(kept.length === list.length ? list : kept);
      this.#kept.set(list, result);
    }
    return result;
  }

  mtimeNsec(nanoseconds: number): number {
    return this.#choice.mtime === "seconds" ? 0 : nanoseconds;
  }

  /** A node with the metadata that counts; the node itself if all of its does. */
  of<T extends Metadata>(node: T): T {
    const xattrs = this.xattrs(node.xattrs);
    const mtimeNsec = this.mtimeNsec(node.mtimeNsec);
    return xattrs === node.xattrs && mtimeNsec === node.mtimeNsec ? node : { ...node, xattrs, mtimeNsec };
  }
}

function isKept(name: Uint8Array, mode: TransformOptions["xattrs"]): boolean {
  if (equalBytes(name, CAPABILITY)) return true;
  return mode === "keep-user" && equalBytes(name.subarray(0, USER_PREFIX.length), USER_PREFIX);
}
