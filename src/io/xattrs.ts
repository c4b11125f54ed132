/** Reads the extended attributes of one path after the other, and keeps equal names, values and lists once. */
import { displayBytes } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { sortXattrs, XATTR_NAME_MAX, XATTR_VALUE_MAX, type Xattr } from "../tree/node.ts";
import { readError } from "./hash-file.ts";
import { getXattr, listXattrs } from "./libc.ts";

/** Every xattr that there is, or those of these names; one that ends in a dot means all that begin with it. */
export type XattrFilter = "all" | readonly string[];

const NONE: readonly Xattr[] = [];

export class XattrReader {
  readonly #filter: XattrFilter;
  /** Names with a final NUL, by the name as latin1; null: not wanted. */
  readonly #names = new Map<string, Uint8Array | null>();
  /** Sorted lists by all that is in them. */
  readonly #lists = new Map<string, readonly Xattr[]>();

  constructor(filter: XattrFilter) {
    this.#filter = filter;
  }

  /**
   * The wanted xattrs of the path itself, sorted by name.
   * @param path with a NUL after `length` bytes
   * @throws SealError `input` for one that can't be read or that composefs can't represent
   */
  read(path: Uint8Array, length: number): readonly Xattr[] {
    try {
      const list = listXattrs(path);
      return list.length === 0 ? NONE : this.#readAll(path, length, latin1(list));
    } catch (error) {
      throw error instanceof Error && "syscall" in error ? readError(path.subarray(0, length), error) : error;
    }
  }

  #readAll(path: Uint8Array, length: number, list: string): readonly Xattr[] {
    const xattrs: Xattr[] = [];
    let key = "";
    for (const text of list
      .split("\0")
      .filter((name) => name !== "")
      .sort()) {
      const name = this.#wanted(text);
      if (name === null) continue;
      const value = getXattr(path, name);
      if (name.length - 1 > XATTR_NAME_MAX || value.length > XATTR_VALUE_MAX) {
        const limits = `${XATTR_NAME_MAX} bytes for names and ${XATTR_VALUE_MAX} for values`;
        const subject = displayBytes(path.subarray(0, length));
        throw inputError(
          subject,
          `xattr ${displayBytes(name.subarray(0, -1))} is larger than composefs allows: ${limits}`,
        );
      }
      key += `${text}\0${value.length}\0${latin1(value)}`;
      xattrs.push({ name: name.subarray(0, -1), value: value.slice() });
    }
    if (xattrs.length === 0) return NONE;
    const known = this.#lists.get(key);
    if (known !== undefined) return known;
    this.#lists.set(key, sortXattrs(xattrs));
    return xattrs;
  }

  #wanted(text: string): Uint8Array | null {
    const known = this.#names.get(text);
    if (known !== undefined) return known;
    const isWanted =
      this.#filter === "all" ||
      this.#filter.some((item) => (item.endsWith(".") ? text.startsWith(item) : text === item));
    const name = isWanted ? Buffer.from(`${text}\0`, "latin1") : null;
    this.#names.set(text, name);
    return name;
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
