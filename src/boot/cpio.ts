/**
 * cpio archives as Linux unpacks them into the initramfs: the format "newc", with or without checksums (Linux
 * Documentation/driver-api/early-userspace/buffer-format.rst, init/initramfs.c). They are read as a stream; only what
 * the caller asks for is kept.
 */
import { alignUp, displayBytes, latin1 } from "../bytes.ts";
import { concat } from "../chunks.ts";
import { inputError, type SealError } from "../errors.ts";

export interface CpioEntry {
  /** As in the archive, without the final NUL. */
  readonly name: Uint8Array;
  /** `st_mode`, with the type. */
  readonly mode: number;
  /** Inode and device: several names of one file share them. */
  readonly inode: string;
  readonly links: number;
  /** Bytes of the content; of a symlink the target. With several links, one of them has the content. */
  readonly size: number;
}

/** What is done with the entries of an archive. */
export interface CpioVisitor {
  /** Whether the content of an entry is wanted. */
  readonly wants: (entry: CpioEntry) => boolean;
  /** Each entry, in order. @param content a copy; null: not wanted */
  readonly entry: (entry: CpioEntry, content: Uint8Array | null) => void;
}

const HEADER_SIZE = 110;
const MAGIC = "070701";
const MAGIC_WITH_SUM = "070702";
/** What all of them start with. */
const FIRST_BYTE = 0x30;
const END = "TRAILER!!!";
/** PATH_MAX of Linux, with the NUL. */
const NAME_LIMIT = 4096;

/** Whether an archive begins with these bytes, as far as Linux looks. */
export function isCpio(bytes: Uint8Array): boolean {
  return bytes[0] === FIRST_BYTE;
}

/**
 * What the next byte belongs to: a header or name, which are buffered; contents, or the padding after them; or perhaps
 * the next header.
 */
type State = "boundary" | "header" | "name" | "content" | "padding" | "end";

/** Reads one archive, to its end marker, or as far as there are entries where it has none. */
export class CpioReader {
  readonly #subject: string;
  readonly #visitor: CpioVisitor;
  readonly #collected = Buffer.alloc(HEADER_SIZE + NAME_LIMIT + 4);
  #state: State = "boundary";
  /** Bytes that were read, and where the header began that is read. */
  #position = 0;
  #start = 0;
  /** How much of header and name is there, and must be. */
  #filled = 0;
  #needed = 0;
  /** Of content or padding. */
  #left = 0;
  #fields: Fields | null = null;
  #entry: CpioEntry | null = null;
  #content: Uint8Array[] | null = null;
  #sum = 0;

  /** @param subject what the user knows it by */
  constructor(subject: string, visitor: CpioVisitor) {
    this.#subject = subject;
    this.#visitor = visitor;
  }

  /** Whether the archive is complete; what follows is something else. */
  get ended(): boolean {
    return this.#state === "end";
  }

  /**
   * Takes the next bytes.
   * @returns how many of them belong to the archive: all, unless it has ended
   * @throws SealError `input` for what Linux would stop at: another format, a wrong checksum
   */
  write(bytes: Uint8Array): number {
    let at = 0;
    while (at < bytes.length && this.#state !== "end") {
      const taken = this.#take(at === 0 ? bytes : bytes.subarray(at));
      at += taken;
      this.#position += taken;
      this.#step();
    }
    return at;
  }

  /**
   * There is no more.
   * @throws SealError `input` when an entry is cut off
   */
  finish(): void {
    if (this.#state === "name" && this.#isEnd() && this.#filled >= HEADER_SIZE + (this.#fields?.nameSize ?? 0)) return;
    if (this.#state === "header" || this.#state === "name" || this.#state === "content") {
      throw this.#fail(`truncated: the cpio archive ends within an entry (offset ${this.#start})`);
    }
  }

  /** Takes as many bytes as the current state needs. */
  #take(bytes: Uint8Array): number {
    if (this.#state === "boundary") {
      this.#start = this.#position;
      if (bytes[0] !== FIRST_BYTE) {
        this.#state = "end";
        return 0;
      }
      this.#state = "header";
      this.#needed = HEADER_SIZE;
      this.#filled = 0;
    }
    if (this.#state === "header" || this.#state === "name") {
      const count = Math.min(this.#needed - this.#filled, bytes.length);
      this.#collected.set(bytes.subarray(0, count), this.#filled);
      this.#filled += count;
      return count;
    }
    const count = Math.min(this.#left, bytes.length);
    this.#left -= count;
    if (this.#state === "padding") return count;
    const part = bytes.subarray(0, count);
    if (this.#fields?.hasSum === true) this.#sum = addBytes(part, this.#sum);
    this.#content?.push(Uint8Array.from(part));
    return count;
  }

  /** Goes to the next state when something is complete. */
  #step(): void {
    if (this.#state === "header" && this.#filled === this.#needed) {
      this.#fields = parseFields(latin1(this.#collected.subarray(0, HEADER_SIZE)), this.#start, this.#subject);
      this.#needed = alignUp(HEADER_SIZE + this.#fields.nameSize, 4);
      this.#state = "name";
    }
    if (this.#state === "name" && this.#filled === this.#needed && this.#fields !== null) this.#open(this.#fields);
    if (this.#state === "content" && this.#left === 0) this.#close();
    if (this.#state === "padding" && this.#left === 0) this.#state = "boundary";
  }

  #open({ mode, inode, links, size }: Fields): void {
    if (this.#isEnd()) {
      this.#state = "end";
      return;
    }
    const entry = { name: Uint8Array.from(this.#name()), mode, inode, links, size };
    this.#entry = entry;
    this.#content = this.#visitor.wants(entry) ? [] : null;
    this.#sum = 0;
    this.#left = size;
    this.#state = "content";
  }

  #close(): void {
    const [entry, fields] = [this.#entry, this.#fields];
    if (entry === null || fields === null) return;
    if (fields.hasSum && this.#sum !== fields.check) {
      throw this.#fail(`the cpio checksum of ${displayBytes(entry.name)} is wrong`);
    }
    const content = this.#content?.length === 1 ? this.#content[0] : this.#content && concat(this.#content);
    this.#visitor.entry(entry, content ?? null);
    this.#content = null;
    this.#left = alignUp(entry.size, 4) - entry.size;
    this.#state = "padding";
  }

  #name(): Uint8Array {
    return this.#collected.subarray(HEADER_SIZE, HEADER_SIZE + (this.#fields?.nameSize ?? 1) - 1);
  }

  #isEnd(): boolean {
    return latin1(this.#name()) === END;
  }

  #fail(reason: string): SealError {
    return inputError(this.#subject, reason);
  }
}

interface Fields extends Pick<CpioEntry, "mode" | "links" | "inode" | "size"> {
  readonly nameSize: number;
  readonly hasSum: boolean;
  readonly check: number;
}

/**
 * Fields of eight hex digits: ino, mode, uid, gid, nlink, mtime, filesize, major, minor, rmajor,
 * rminor, namesize, check.
 */
function parseFields(header: string, offset: number, subject: string): Fields {
  if (!header.startsWith(MAGIC) && !header.startsWith(MAGIC_WITH_SUM)) throw notNewc(offset, subject);
  if (!/^[0-9a-fA-F]+$/.test(header)) throw inputError(subject, `a cpio header is damaged (offset ${offset})`);
  const field = (index: number) => Number.parseInt(header.slice(6 + index * 8, 14 + index * 8), 16);
  const nameSize = field(11);
  if (nameSize === 0 || nameSize > NAME_LIMIT) {
    throw inputError(subject, `a cpio entry has a name of ${nameSize} bytes (offset ${offset})`);
  }
  return {
    mode: field(1),
    links: field(4),
    inode: `${field(7)}:${field(8)}:${field(0)}`,
    size: field(6),
    nameSize,
    hasSum: header.startsWith(MAGIC_WITH_SUM),
    check: field(12),
  };
}

/** Reports that something else is where an archive must be. */
export function notNewc(offset: number, subject: string): SealError {
  return inputError(subject, `there is no cpio archive of the format newc at offset ${offset}`);
}

function addBytes(bytes: Uint8Array, sum: number): number {
  let total = sum;
  for (const byte of bytes) total = (total + byte) >>> 0;
  return total;
}
