/** Where the members of an uncompressed archive lie, without reading their contents. */
import { latin1 } from "../../bytes.ts";
import { inputError } from "../../errors.ts";
import { splitPath } from "../../tree/node.ts";
import { readAt, type StoredFile } from "../oci/stored-file.ts";
import { BLOCK } from "./header.ts";
import { type Blocks, readEntry } from "./read-entry.ts";

/** A file, or a link to another member by its key. */
export type Member =
  | { readonly kind: "file"; readonly start: number; readonly size: number }
  | { readonly kind: "link"; readonly target: string };

/** No image archive has more members; each is a blob, or a file about one. */
const MEMBER_LIMIT = 100_000;
const WINDOW = 64 << 10;

/**
 * The files and links of an archive by their keys, see {@link archiveKey}; of two with the same the last.
 * @throws SealError `input` when it is no archive, compressed, cut off or absurdly large
 */
export async function listArchive(file: StoredFile): Promise<ReadonlyMap<string, Member>> {
  const { subject } = file;
  const head = await readAt(file, 0, 4);
  if ((head[0] === 0x1f && head[1] === 0x8b) || (head.length === 4 && head.readUInt32LE() === 0xfd2fb528)) {
    throw inputError(subject, "is compressed as a whole; unpack it first (gunzip or unzstd)");
  }
  const blocks = new FileBlocks(file);
  const members = new Map<string, Member>();
  const options = { subject, negativeTimes: true, paxOwners: "count" } as const;
  for (let next = await readEntry(blocks, options); next !== null; next = await readEntry(blocks, options)) {
    const { entry, size: bytes } = next;
    const key = archiveKey(entry.path);
    const size = Number(bytes);
    const { item } = entry;
    if (item.kind === "regular") members.set(key, { kind: "file", start: file.start + blocks.position, size });
    if (item.kind === "hardlink") members.set(key, { kind: "link", target: archiveKey(item.target) });
    if (item.kind === "symlink") members.set(key, { kind: "link", target: linkTarget(key, item.target) });
    if (members.size > MEMBER_LIMIT) throw inputError(subject, "has too many members for an image archive");
    blocks.skip(Math.ceil(size / BLOCK) * BLOCK);
  }
  return members;
}

/** A name in an archive in the form that members are found by. */
export function archiveKey(name: Uint8Array): string {
  return splitPath(name).map(latin1).join("/");
}

/** The key that a symlink leads to, from the directory that it lies in. */
function linkTarget(key: string, target: Uint8Array): string {
  const place = target[0] === 0x2f ? [] : key.split("/").slice(0, -1);
  for (const name of archiveKey(target).split("/")) {
    if (name === "..") place.pop();
    else place.push(name);
  }
  return place.join("/");
}

/** Headers of a file, read through a window. */
class FileBlocks implements Blocks {
  position = 0;
  readonly #file: StoredFile;
  #window: Uint8Array = new Uint8Array();
  #windowStart = 0;

  constructor(file: StoredFile) {
    this.#file = file;
  }

  async read(length: number): Promise<Uint8Array> {
    const bytes = await this.peek(length);
    this.position += length;
    return bytes;
  }

  async peek(length: number): Promise<Uint8Array> {
    const end = this.#windowStart + this.#window.length;
    if (this.position < this.#windowStart || this.position + length > end) {
      this.#window = await readAt(this.#file, this.position, Math.max(length, WINDOW));
      this.#windowStart = this.position;
    }
    const offset = this.position - this.#windowStart;
    const bytes = this.#window.subarray(offset, offset + length);
    if (bytes.length < length) throw inputError(this.#file.subject, "is truncated or no tar archive");
    return bytes;
  }

  skip(length: number): void {
    this.position += length;
  }
}
