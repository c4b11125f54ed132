/**
 * What Linux makes of an initramfs (init/initramfs.c, `unpack_to_rootfs`): cpio archives one after the other, plain
 * ones like early microcode and compressed ones, with zeros between them. Later files replace earlier ones. It is read
 * as a stream while it is unpacked, in little memory: names are kept, and only contents that the caller asks for.
 */
import { latin1, readerOf } from "../bytes.ts";
import { byteLength, type Chunks, forEachPiece } from "../chunks.ts";
import { inputError } from "../errors.ts";
import { splitPath } from "../tree/node.ts";
import { canUnpack, type StreamKind, streamKind, unpackStream } from "../unpack/unpack.ts";
import { type CpioEntry, CpioReader, type CpioVisitor, isCpio, notNewc } from "./cpio.ts";

/** One archive of several: where it is and what it holds. */
export interface InitramfsArchive {
  readonly compression: StreamKind | "none";
  /** In the initramfs; bytes, packed. */
  readonly offset: number;
  readonly size: number;
  readonly unpackedSize: number;
  /** Entries of all types. */
  readonly entries: number;
}

/** A file in an initramfs. */
export interface InitramfsFile {
  /** `st_mode`, with the type. */
  readonly mode: number;
  readonly size: number;
  /** Empty where it was not kept. */
  readonly content: Uint8Array;
}

/** Which contents are kept; paths are those of {@link Initramfs.files}. */
export interface KeptContents {
  /** Whether to look at the content of a file at all. */
  readonly wants: (path: string, mode: number, size: number) => boolean;
  /** Whether to keep it, having seen it. */
  readonly keeps: (path: string, content: Uint8Array) => boolean;
}

const KEEP_ALL: KeptContents = { wants: () => true, keeps: () => true };

/** What was found in an initramfs. */
export interface Initramfs {
  readonly archives: readonly InitramfsArchive[];
  /** By path without a leading slash, each byte as the character of that number. */
  readonly files: ReadonlyMap<string, InitramfsFile>;
  /** A part in a compression that seal can't unpack; nothing after it was read. Null: all was read. */
  readonly unreadable: { readonly compression: StreamKind; readonly offset: number } | null;
}

/** All archives unpacked. A machine needs more memory than that to unpack one. */
const UNPACKED_LIMIT = 1 << 30;
/** Full initramfs images have a few thousand. */
const ENTRY_LIMIT = 500_000;
/** Real ones have two or three. Each costs time, even if it is empty. */
const ARCHIVE_LIMIT = 1_000;
/** Archives and compressions are recognised by their first bytes. */
const HEAD = 6;
const TYPE_MASK = 0o170000;
const REGULAR = 0o100000;

/** Contents of files with several names are held until their archive ends, up to this total. */
const LINKED_LIMIT = 64 << 20;
const NOTHING = new Uint8Array();

/**
 * @param packed read in pieces, once
 * @param subject what the user knows it by
 * @param kept which contents; default: all
 * @throws SealError `input` where Linux stops too: damage, anything other than an archive, no end; and beyond the
 *   limits
 */
export async function readInitramfs(
  packed: Chunks,
  subject: string,
  kept: KeptContents = KEEP_ALL,
): Promise<Initramfs> {
  const archives: InitramfsArchive[] = [];
  const files = new Map<string, InitramfsFile>();
  let left = UNPACKED_LIMIT;
  let entries = 0;
  const newReader = () => {
    const { wants, entry } = collector(files, kept);
    const count = (one: CpioEntry, content: Uint8Array | null) => {
      if (++entries > ENTRY_LIMIT)
        throw inputError(subject, `has more than ${ENTRY_LIMIT} files; no real initramfs has that many`);
      entry(one, content);
    };
    return new CpioReader(subject, { wants, entry: count });
  };
  const input = readerOf(packed, subject);
  for (let at = 0; at < input.length; ) {
    if (input.u8(at, "an archive") === 0) {
      at++;
      continue;
    }
    const head = input.slice(at, Math.min(HEAD, input.length - at), "an archive");
    if (archives.length === ARCHIVE_LIMIT) {
      throw inputError(subject, `has more than ${ARCHIVE_LIMIT} archives; no real initramfs has that many`);
    }
    const before = entries;
    if (isCpio(head) && at % 4 === 0) {
      const reader = newReader();
      const size = writeFrom(packed, at, reader);
      archives.push({ compression: "none", offset: at, size, unpackedSize: size, entries: entries - before });
      at += size;
      continue;
    }
    const compression = streamKind(head);
    if (compression === null) {
      const found = Buffer.from(head).toString("hex");
      throw inputError(
        subject,
        `there is neither an archive nor a compression that Linux knows at offset ${at} (${found})`,
      );
    }
    if (!canUnpack(compression)) return { archives, files, unreadable: { compression, offset: at } };
    const unpacked = new UnpackedArchives(subject, newReader);
    const sink = (part: Uint8Array) => unpacked.write(part);
    const size = await unpackStream(compression, input.from(at), { limit: left, subject, sink });
    unpacked.finish();
    left -= unpacked.size;
    archives.push({ compression, offset: at, size, unpackedSize: unpacked.size, entries: entries - before });
    at += size;
  }
  return { archives, files, unreadable: null };
}

/** Gives a reader the archive at an offset. @returns bytes that it has */
function writeFrom(packed: Chunks, start: number, reader: CpioReader): number {
  let size = 0;
  forEachPiece(packed, start, byteLength(packed), (piece) => {
    size += reader.write(piece);
    return !reader.ended;
  });
  if (!reader.ended) reader.finish();
  return size;
}

/** Reads the output of a compressed stream, which may contain only archives and zeros. */
class UnpackedArchives {
  readonly #subject: string;
  readonly #newReader: () => CpioReader;
  #reader: CpioReader | null = null;
  /** Bytes so far. */
  size = 0;

  constructor(subject: string, newReader: () => CpioReader) {
    this.#subject = subject;
    this.#newReader = newReader;
  }

  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#reader === null) {
        while (bytes[at] === 0) at++;
        if (at === bytes.length) break;
        if (!isCpio(bytes.subarray(at))) throw notNewc(this.size + at, this.#subject);
        this.#reader = this.#newReader();
      }
      at += this.#reader.write(bytes.subarray(at));
      if (this.#reader.ended) this.#reader = null;
    }
    this.size += bytes.length;
  }

  finish(): void {
    this.#reader?.finish();
  }
}

/** The entries of one archive: gives all names of a file the content that one of them has. */
function collector(files: Map<string, InitramfsFile>, kept: KeptContents): CpioVisitor {
  const links = new Map<string, { readonly names: string[]; file: InitramfsFile | null }>();
  let linked = 0;
  const pathOf = ({ name }: CpioEntry) => splitPath(name).map(latin1).join("/");
  const isLinked = ({ mode, links: count }: CpioEntry) => count > 1 && (mode & TYPE_MASK) === REGULAR;
  return {
    wants: (entry) => {
      const { mode, size } = entry;
      if (!isLinked(entry)) return kept.wants(pathOf(entry), mode, size);
      // Another name of it may be wanted, and come before or after.
      linked += size;
      return linked <= LINKED_LIMIT;
    },
    entry: (entry, content) => {
      const names = [pathOf(entry)];
      let file: InitramfsFile = { mode: entry.mode, size: entry.size, content: content ?? NOTHING };
      if (isLinked(entry)) {
        const group = links.get(entry.inode) ?? { names: [], file: null };
        links.set(entry.inode, group);
        if (group.file !== null) file = group.file;
        else if (file.size === 0) group.names.push(...names);
        else {
          group.file = file;
          names.push(...group.names);
        }
      }
      for (const name of names) files.set(name, isKept(name, file, kept) ? file : { ...file, content: NOTHING });
    },
  };
}

function isKept(path: string, { mode, size, content }: InitramfsFile, { wants, keeps }: KeptContents): boolean {
  return content.length > 0 && content.length === size && wants(path, mode, size) && keeps(path, content);
}
