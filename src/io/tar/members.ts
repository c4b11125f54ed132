/**
 * Where the members of an uncompressed archive of images are. tar-stream reads the headers: from front to back, so in
 * place of each content it gets zeros, and nothing but headers is read from the disk.
 */
import { once } from "node:events";
import { extract, type Header } from "tar-stream";
import { latin1, utf8 } from "../../bytes.ts";
import { inputError, type SealError } from "../../errors.ts";
import { splitPath } from "../../tree/node.ts";
import { readStored, type StoredFile } from "../oci/stored-file.ts";
import { BLOCK, isZero } from "./header.ts";

/** A file, or a link to another member by its key. */
export type Member =
  | { readonly kind: "file"; readonly start: number; readonly size: number }
  | { readonly kind: "link"; readonly target: string };

/** No image archive has more members; each is a blob, or a file about one. */
const MEMBER_LIMIT = 100_000;
const WINDOW = 64 << 10;
/** What represents contents. */
const ZEROS = new Uint8Array(1 << 20);

/**
 * Of tar-stream: names as bytes, archives of old that have no magic; one byte fills it, so that it says of each
 * piece when that is taken.
 */
const OPTIONS = { filenameEncoding: "latin1", allowUnknownFormat: true, highWaterMark: 1 };

/**
 * The files and links of an archive by their keys, see {@link archiveKey}; of two with the same the last.
 * @throws SealError `input` when it is not an archive, compressed, cut off, absurdly large, or has what
 *   image archives don't have
 */
export async function listArchive(file: StoredFile): Promise<ReadonlyMap<string, Member>> {
  const { subject } = file;
  const head = await readStored(file, 0, 4);
  if ((head[0] === 0x1f && head[1] === 0x8b) || (head.length === 4 && head.readUInt32LE() === 0xfd2fb528)) {
    throw inputError(subject, "is compressed as a whole; unpack it first (gunzip or unzstd)");
  }
  const members = new Map<string, Member>();
  const headers = new HeaderReader(subject);
  const window = new Window(file);
  try {
    for (let place = 0; ; ) {
      const block = await window.block(place);
      if (isZero(block) && isZero(await window.block(place + BLOCK))) return members;
      place += BLOCK;
      const header = await headers.push(block);
      if (header === null) continue;
      const size = contentSize(header, subject);
      addMember(members, header, { start: file.start + place, size }, subject);
      if (members.size > MEMBER_LIMIT) throw inputError(subject, "has too many members for an image archive");
      const end = place + Math.ceil(size / BLOCK) * BLOCK;
      for (; place < end; place += Math.min(end - place, ZEROS.length)) {
        if (place >= file.size) throw truncated(subject);
        await headers.push(ZEROS.subarray(0, end - place));
      }
    }
  } finally {
    headers.close();
  }
}

/** A name in an archive in the form that members are found by. */
export function archiveKey(name: Uint8Array): string {
  return splitPath(name).map(latin1).join("/");
}

/** tar-stream, block by block. */
class HeaderReader {
  readonly #subject: string;
  readonly #stream = extract(OPTIONS);
  #header: Header | null = null;

  constructor(subject: string) {
    this.#subject = subject;
    this.#stream.on("entry", (header, content, next) => {
      this.#header = header;
      content.resume();
      next();
    });
  }

  /**
   * @returns the header of a member whose content comes next, when these bytes were the last of it
   * @throws SealError `input` for a header that is damaged
   */
  async push(bytes: Uint8Array): Promise<Header | null> {
    this.#header = null;
    const taken = once(this.#stream, "drain");
    this.#stream.write(bytes);
    await taken.catch((error: unknown) => {
      const isChecksum = error instanceof Error && error.message.startsWith("Invalid tar header");
      const what = isChecksum ? "has a wrong checksum" : "has impossible values";
      throw inputError(
        this.#subject,
        `a tar header ${what}: the archive is corrupt, compressed or not a tar archive`,
        error,
      );
    });
    return this.#header;
  }

  close(): void {
    this.#stream.destroy();
  }
}

/** Bytes after a header; tar-stream has no content of directories. */
function contentSize({ type, size }: Header, subject: string): number {
  if (!Number.isSafeInteger(size) || size < 0) throw inputError(subject, "the size of a member is impossible");
  return type === "directory" ? 0 : size;
}

function addMember(
  members: Map<string, Member>,
  header: Header,
  content: { readonly start: number; readonly size: number },
  subject: string,
): void {
  const records = Object.entries(header.pax ?? {});
  if (records.some(([name]) => name.startsWith("GNU.sparse."))) {
    throw inputError(subject, "sparse files in archives are not supported");
  }
  // The names in extended headers are UTF-8, those in headers bytes.
  const named = (record: string, text: string | null) => {
    const [, value] = records.find(([name]) => name === record) ?? [];
    return typeof value === "string" ? utf8(value) : Buffer.from(text ?? "", "latin1");
  };
  const key = archiveKey(named("path", header.name));
  const link = named("linkpath", header.linkname);
  switch (header.type) {
    case "file":
    case "contiguous-file":
      members.set(key, { kind: "file", ...content });
      break;
    case "link":
      members.set(key, { kind: "link", target: archiveKey(link) });
      break;
    case "symlink":
      members.set(key, { kind: "link", target: linkTarget(key, link) });
      break;
    case "directory":
    case "fifo":
    case "block-device":
    case "character-device":
      break;
    default:
      throw inputError(subject, "has a member that is neither file, directory nor link");
  }
}

/** The key that a symlink leads to, from the directory that it is in. */
function linkTarget(key: string, target: Uint8Array): string {
  const place = target[0] === 0x2f ? [] : key.split("/").slice(0, -1);
  for (const name of archiveKey(target).split("/")) {
    if (name === "..") place.pop();
    else place.push(name);
  }
  return place.join("/");
}

/** Blocks of a file, read some at a time. */
class Window {
  readonly #file: StoredFile;
  #bytes: Uint8Array = new Uint8Array();
  #start = 0;

  constructor(file: StoredFile) {
    this.#file = file;
  }

  /** @throws SealError `input` where the file has ended */
  async block(place: number): Promise<Uint8Array> {
    if (place < this.#start || place + BLOCK > this.#start + this.#bytes.length) {
      this.#bytes = await readStored(this.#file, place, WINDOW);
      this.#start = place;
    }
    const bytes = this.#bytes.subarray(place - this.#start, place - this.#start + BLOCK);
    if (bytes.length < BLOCK) throw truncated(this.#file.subject);
    return bytes;
  }
}

function truncated(subject: string): SealError {
  return inputError(subject, "is truncated or not a tar archive");
}
