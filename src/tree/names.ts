/** Names of files as bytes, where equal ones mostly share their memory. */
import { displayBytes } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { NAME_MAX } from "./node.ts";

/** Of so many names, a power of two, equal ones are found. */
const KEPT = 1 << 13;
/** Memory is allocated in pieces of this size. */
const SLAB = 1 << 14;

/**
 * Keeps the names that came last, each in the place of its hash: another name with the same place takes it over. A map
 * of all names of a large tree would be most of the time and a tenth of the memory that reading its directories takes.
 */
export class Names {
  readonly #kept: (Uint8Array | undefined)[] = new Array(KEPT);
  #slab = new Uint8Array(0);
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
    let hash = 0;
    for (let at = 0; at < length; at++) hash = (Math.imul(hash, 31) + name.charCodeAt(at)) | 0;
    const place = (hash ^ (hash >>> 15)) & (KEPT - 1);
    const known = this.#kept[place];
    if (known !== undefined && isName(known, name)) return known;
    const bytes = this.#add(name);
    this.#kept[place] = bytes;
    return bytes;
  }

  #add(name: string): Uint8Array {
    const { length } = name;
    if (this.#used + length > this.#slab.length) {
      this.#slab = new Uint8Array(SLAB);
      this.#used = 0;
    }
    const bytes = this.#slab.subarray(this.#used, this.#used + length);
    this.#used += length;
    for (let at = 0; at < length; at++) bytes[at] = name.charCodeAt(at);
    return bytes;
  }
}

function isName(bytes: Uint8Array, name: string): boolean {
  if (bytes.length !== name.length) return false;
  for (let at = 0; at < bytes.length; at++) if (bytes[at] !== name.charCodeAt(at)) return false;
  return true;
}
