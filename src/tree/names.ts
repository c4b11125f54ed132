/** Names of files as bytes, where equal ones mostly share their memory. */
import { displayBytes } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { NAME_MAX } from "./node.ts";

/** So many names are kept. */
const KEPT = 1 << 13;
/** Memory is allocated in pieces of this size. */
const SLAB = 1 << 14;

/**
 * Keeps some thousand names that came last, all of which it forgets when there are more. A map of all names of a large
 * tree would be most of the time and a tenth of the memory that reading its directories takes.
 */
export class Names {
  readonly #kept = new Map<string, Uint8Array>();
  #slab = Buffer.alloc(0);
  #used = 0;

  /**
   * The bytes of a name.
   * @param name one character a byte
   * @throws SealError `input` for one that is too long
   */
  bytes(name: string): Uint8Array {
    const { length } = name;
    if (length > NAME_MAX) {
      throw inputError(displayBytes(Buffer.from(name, "latin1")), `this file name is longer than ${NAME_MAX} bytes`);
    }
    const known = this.#kept.get(name);
    if (known !== undefined) return known;
    const bytes = this.#add(name);
    if (this.#kept.size === KEPT) this.#kept.clear();
    this.#kept.set(name, bytes);
    return bytes;
  }

  #add(name: string): Uint8Array {
    const { length } = name;
    if (this.#used + length > this.#slab.length) {
      this.#slab = Buffer.alloc(SLAB);
      this.#used = 0;
    }
    const bytes = new Uint8Array(this.#slab.buffer, this.#slab.byteOffset + this.#used, length);
    this.#slab.write(name, this.#used, length, "latin1");
    this.#used += length;
    return bytes;
  }
}
