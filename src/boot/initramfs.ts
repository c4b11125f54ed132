/**
 * What Linux makes of an initramfs (init/initramfs.c, `unpack_to_rootfs`): cpio archives one after the other, plain ones like early microcode and
 * compressed ones, with zeros between them. Later files take the place of earlier ones.
 */
import { latin1 } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { splitPath } from "../tree/node.ts";
import { canUnpack, type StreamKind, streamKind, unpackStream } from "../unpack/unpack.ts";
import { type CpioEntry, isCpio, readCpio } from "./cpio.ts";

/** One archive of several, where it lies and what it holds. */
export interface InitramfsArchive {
  readonly compression: StreamKind | "none";
  /** In the initramfs; bytes, packed. */
  readonly offset: number;
  readonly size: number;
  readonly unpackedSize: number;
  /** Entries of all types. */
  readonly entries: number;
}

export interface InitramfsFile {
  /** `st_mode`, with the type. */
  readonly mode: number;
  readonly content: Uint8Array;
}

export interface Initramfs {
  readonly archives: readonly InitramfsArchive[];
  /** By path without a leading slash, each byte as the character of that number. */
  readonly files: ReadonlyMap<string, InitramfsFile>;
  /** A compression that seal has no decompressor for; nothing behind it was looked at. Null: all was read. */
  readonly unreadable: StreamKind | null;
}

/** All archives unpacked. A machine needs more memory than that to unpack one. */
const UNPACKED_LIMIT = 1 << 30;
/** Full initramfs images have a few thousand. */
const ENTRY_LIMIT = 500_000;
/** Real ones have two or three. Each costs time, though it be empty. */
const ARCHIVE_LIMIT = 1_000;
const TYPE_MASK = 0o170000;
const REGULAR = 0o100000;

/**
 * @param subject what the user knows it by
 * @throws SealError `input` where Linux stops too: damage, something else than an archive, no end; and beyond the limits
 */
export async function readInitramfs(bytes: Uint8Array, subject: string): Promise<Initramfs> {
  const archives: InitramfsArchive[] = [];
  const files = new Map<string, InitramfsFile>();
  let left = UNPACKED_LIMIT;
  let entries = 0;
  const read = (archive: Uint8Array) => {
    const collect = collector(files);
    return readCpio(archive, subject, (entry) => {
      if (++entries > ENTRY_LIMIT) throw inputError(subject, `has more than ${ENTRY_LIMIT} files; no initramfs has`);
      collect(entry);
    });
  };
  for (let at = 0; at < bytes.length; ) {
    if (bytes[at] === 0) {
      at++;
      continue;
    }
    if (archives.length === ARCHIVE_LIMIT) {
      throw inputError(subject, `has more than ${ARCHIVE_LIMIT} archives; no initramfs has`);
    }
    const rest = bytes.subarray(at);
    const before = entries;
    if (isCpio(rest) && at % 4 === 0) {
      const end = read(rest);
      archives.push({ compression: "none", offset: at, size: end, unpackedSize: end, entries: entries - before });
      at += end;
      continue;
    }
    const kind = streamKind(rest);
    if (kind === null) {
      const found = Buffer.from(rest.subarray(0, 6)).toString("hex");
      throw inputError(
        subject,
        `there is neither an archive nor a compression that Linux knows at offset ${at} (${found})`,
      );
    }
    if (!canUnpack(kind)) return { archives, files, unreadable: kind };
    const { bytes: unpacked, consumed } = await unpackStream(kind, rest, left, subject);
    left -= unpacked.length;
    readUnpacked(unpacked, read);
    archives.push({
      ...{ compression: kind, offset: at, size: consumed },
      ...{ unpackedSize: unpacked.length, entries: entries - before },
    });
    at += consumed;
  }
  return { archives, files, unreadable: null };
}

/** Within a compressed stream nothing but archives and zeros may be. @param read gives the length of an archive */
function readUnpacked(bytes: Uint8Array, read: (archive: Uint8Array) => number): void {
  for (let at = 0; at < bytes.length; ) at += bytes[at] === 0 ? 1 : read(bytes.subarray(at));
}

/** The entries of one archive: gives all names of a file the content that one of them has. */
function collector(files: Map<string, InitramfsFile>): (entry: CpioEntry) => void {
  const links = new Map<string, { readonly names: string[]; file: InitramfsFile | null }>();
  return ({ name, mode, inode, links: count, content }) => {
    const path = splitPath(name).map(latin1).join("/");
    const file = { mode, content };
    files.set(path, file);
    if (count < 2 || (mode & TYPE_MASK) !== REGULAR) return;
    const group = links.get(inode) ?? { names: [], file: null };
    links.set(inode, group);
    if (group.file !== null) files.set(path, group.file);
    else if (content.length === 0) group.names.push(path);
    else {
      group.file = file;
      for (const other of group.names) files.set(other, file);
    }
  };
}
