/**
 * cpio archives as Linux unpacks them into the initramfs: the format "newc", with or without checksums
 * (Linux Documentation/driver-api/early-userspace/buffer-format.rst, init/initramfs.c).
 */
import { alignUp, Cursor, displayBytes, latin1 } from "../bytes.ts";
import { inputError } from "../errors.ts";

export interface CpioEntry {
  /** As it stands in the archive, without the final NUL. */
  readonly name: Uint8Array;
  /** `st_mode`, with the type. */
  readonly mode: number;
  /** Inode and device: several names of one file share them. */
  readonly inode: string;
  readonly links: number;
  /** A view; of a symlink the target. With several links, one of them has the content. */
  readonly content: Uint8Array;
}

const HEADER_SIZE = 110;
const MAGIC = "070701";
const MAGIC_WITH_SUM = "070702";
const END = "TRAILER!!!";
/** PATH_MAX of Linux, with the NUL. */
const NAME_LIMIT = 4096;

/** Whether an archive begins with these bytes, as far as Linux looks. */
export function isCpio(bytes: Uint8Array): boolean {
  return bytes[0] === 0x30;
}

/**
 * Reads the archive that `bytes` begin with, to its end marker, or as far as there are entries where it has none.
 * @param onEntry called for each entry in order
 * @returns where it ends
 * @throws SealError `input` for what Linux would stop at: another format, a wrong checksum, an entry that is cut off
 */
export function readCpio(bytes: Uint8Array, subject: string, onEntry: (entry: CpioEntry) => void): number {
  const cursor = new Cursor(bytes, subject);
  for (let at = 0; ; ) {
    if (at >= bytes.length) return bytes.length;
    const header = latin1(cursor.slice(at, HEADER_SIZE, "cpio header"));
    const fields = parseFields(header, at, subject);
    const { nameSize, size } = fields;
    if (nameSize === 0 || nameSize > NAME_LIMIT) {
      throw inputError(subject, `a cpio entry has a name of ${nameSize} bytes (offset ${at})`);
    }
    const name = cursor.slice(at + HEADER_SIZE, nameSize, "cpio name").subarray(0, -1);
    const start = at + alignUp(HEADER_SIZE + nameSize, 4);
    if (latin1(name) === END) return Math.min(start, bytes.length);
    const content = cursor.slice(start, size, "cpio content");
    if (header.startsWith(MAGIC_WITH_SUM) && sum(content) !== fields.check) {
      throw inputError(subject, `the cpio checksum of ${displayBytes(name)} is wrong`);
    }
    const { mode, links, inode } = fields;
    onEntry({ name, mode, links, inode, content });
    at = start + alignUp(size, 4);
  }
}

interface Fields {
  readonly mode: number;
  readonly links: number;
  readonly inode: string;
  readonly size: number;
  readonly nameSize: number;
  readonly check: number;
}

/** Fields of eight hex digits: ino, mode, uid, gid, nlink, mtime, filesize, major, minor, rmajor, rminor, namesize, check. */
function parseFields(header: string, offset: number, subject: string): Fields {
  if (!header.startsWith(MAGIC) && !header.startsWith(MAGIC_WITH_SUM)) {
    throw inputError(subject, `there is no cpio archive of the format newc at offset ${offset}`);
  }
  if (!/^[0-9a-fA-F]+$/.test(header)) throw inputError(subject, `a cpio header is damaged (offset ${offset})`);
  const field = (index: number) => Number.parseInt(header.slice(6 + index * 8, 14 + index * 8), 16);
  return {
    mode: field(1),
    links: field(4),
    inode: `${field(7)}:${field(8)}:${field(0)}`,
    size: field(6),
    nameSize: field(11),
    check: field(12),
  };
}

function sum(bytes: Uint8Array): number {
  let total = 0;
  for (const byte of bytes) total = (total + byte) >>> 0;
  return total;
}
