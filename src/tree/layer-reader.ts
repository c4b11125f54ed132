/** Goes through a layer that was written as bytes: see `layer-codec.ts` for what stands where. */
import { Cursor } from "../bytes.ts";
import { inputError, type SealError } from "../errors.ts";
import type { Metadata, Xattr } from "./node.ts";

/** Goes through bytes from the first to the last. */
export class LayerReader {
  /** Of all bytes: for those that {@link take} has passed. */
  readonly view: DataView;
  readonly all: Uint8Array;
  readonly #subject: string;
  position = 0;

  constructor({ buffer, byteOffset, byteLength }: Uint8Array, subject: string) {
    this.view = new DataView(buffer, byteOffset, byteLength);
    // Never a Buffer: parts of it would be too, and are slow to make.
    this.all = new Uint8Array(buffer, byteOffset, byteLength);
    this.#subject = subject;
  }

  get isAtEnd(): boolean {
    return this.position === this.all.length;
  }

  /** Passes so many bytes. @returns where they begin @throws SealError `input` where fewer are left */
  take(length: number): number {
    const start = this.position;
    this.position += length;
    // Nothing is checked twice: what is not there is a cursor's to report.
    if (this.position > this.all.length) new Cursor(this.all, this.#subject).slice(start, length, WHAT);
    return start;
  }

  u32(): number {
    return this.view.getUint32(this.take(4), true);
  }

  u64(): bigint {
    return this.view.getBigUint64(this.take(8), true);
  }

  bytes(length: number): Uint8Array {
    const start = this.take(length);
    return this.all.subarray(start, start + length);
  }

  damaged(what: string): SealError {
    return inputError(this.#subject, `is damaged: ${what} can't be (before byte ${this.position})`);
  }
}
const WHAT = "what a layer holds";

/** Reads what entries say of their inodes. Those that follow each other mostly say the same, which is one object then. */
export class MetadataReader {
  readonly #view: DataView;
  readonly #lists: readonly (readonly Xattr[])[];
  #last: Metadata | null = null;
  /** Where it was read. */
  #lastStart = 0;

  constructor({ view }: LayerReader, lists: readonly (readonly Xattr[])[]) {
    this.#view = view;
    this.#lists = lists;
  }

  /** @param start two bytes before what is said of an inode @returns null: what can't be */
  read(start: number): Metadata | null {
    if (this.#last !== null && this.#isSame(start, this.#lastStart)) return this.#last;
    const view = this.#view;
    const mode = view.getUint16(start + 2, true);
    const mtimeNsec = view.getUint32(start + 12, true);
    const xattrs = this.#lists[view.getUint32(start + 24, true)];
    if (xattrs === undefined || mode > 0o7777 || mtimeNsec >= 1e9) return null;
    const uid = view.getUint32(start + 4, true);
    const gid = view.getUint32(start + 8, true);
    const mtimeSec = view.getBigInt64(start + 16, true);
    this.#last = { mode, uid, gid, mtimeSec, mtimeNsec, xattrs };
    this.#lastStart = start;
    return this.#last;
  }

  #isSame(start: number, other: number): boolean {
    const view = this.#view;
    if (view.getUint16(start + 2) !== view.getUint16(other + 2)) return false;
    for (let at = 4; at < 28; at += 4) if (view.getUint32(start + at) !== view.getUint32(other + at)) return false;
    return true;
  }
}
