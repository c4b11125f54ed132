/** Files that lie somewhere as a range of bytes: whole files of a directory, or members of an uncompressed archive. */
import { createReadStream, existsSync } from "node:fs";
import { constants, type FileHandle, open, stat } from "node:fs/promises";
import { join } from "node:path";
import { latin1 } from "../../bytes.ts";
import { inputError } from "../../errors.ts";
import { splitPath } from "../../tree/node.ts";
import { isSystemError, reasonOf } from "../files.ts";
import { listArchive, type Member } from "../tar/members.ts";

export interface StoredFile {
  /** What it is called in messages. */
  readonly subject: string;
  /** Of the file on disk. */
  readonly path: string;
  /** First byte of it there. */
  readonly start: number;
  /** Bytes. */
  readonly size: number;
}

/** Finds files by their names, `blobs/sha256/…`. */
export interface FileStore {
  /** The layout or archive as the user called it. */
  readonly label: string;
  /**
   * @throws SealError `input` when there is no regular file of that name
   */
  readonly find: (name: string) => Promise<StoredFile>;
}

/** The kinds of images that are files on this disk. */
export type StoreKind = "oci" | "oci-archive" | "docker-archive";

const CHUNK_SIZE = 1 << 20;
/** Links between the members of an archive that are followed. */
const LINK_LIMIT = 8;

/**
 * The files of an image layout, or of an archive of images.
 * @param path absolute
 * @throws SealError `input` when it is a file in place of a directory or the other way round, or no archive
 */
export async function openStore(kind: StoreKind, label: string, path: string): Promise<FileStore> {
  const stats = await stat(path).catch((error: unknown) => {
    throw isSystemError(error) ? inputError(label, `can't be read: ${reasonOf(error)}`, error) : error;
  });
  if (kind !== "oci") {
    if (stats.isDirectory()) throw inputError(label, "is a directory; of an OCI layout give oci:PATH");
    return archiveStore(label, path);
  }
  if (!stats.isDirectory()) {
    throw inputError(
      label,
      "is no directory with an OCI layout; of an archive give oci-archive:FILE or docker-archive:FILE",
    );
  }
  if (!existsSync(join(path, "oci-layout"))) {
    throw inputError(label, "is no OCI layout: it has no file oci-layout; of a root filesystem give dir:PATH");
  }
  return { label, find: async (name) => wholeFile(`${label}: ${name}`, join(path, name)) };
}

/** A regular file as it lies on disk. @throws SealError `input` for anything else */
export async function wholeFile(subject: string, path: string): Promise<StoredFile> {
  try {
    const stats = await stat(path);
    if (!stats.isFile()) throw inputError(subject, "is no regular file");
    return { subject, path, start: 0, size: stats.size };
  } catch (error) {
    throw isSystemError(error) ? inputError(subject, `can't be read: ${reasonOf(error)}`, error) : error;
  }
}

/**
 * The members of an uncompressed tar archive.
 * @param path absolute
 * @throws SealError `input` when it is none
 */
async function archiveStore(label: string, path: string): Promise<FileStore> {
  const members = await listArchive(await wholeFile(label, path));
  const find = (name: string): Member & { kind: "file" } => {
    let key = name;
    for (let followed = 0; followed <= LINK_LIMIT; followed++) {
      const member = members.get(key);
      if (member?.kind === "file") return member;
      if (member === undefined) break;
      key = member.target;
    }
    throw inputError(label, `has no file ${name}; ${otherKind(name, members)}`);
  };
  return {
    label,
    find: async (name) => {
      const { start, size } = find(archiveKey(Buffer.from(name)));
      return { subject: `${label}: ${name}`, path, start, size };
    },
  };
}

/** What an archive without the file that tells its kind may be. */
function otherKind(missing: string, members: ReadonlyMap<string, Member>): string {
  if (missing === "oci-layout" && members.has("manifest.json")) {
    return "it is an archive of docker save: give docker-archive:FILE";
  }
  if (missing === "manifest.json" && members.has("oci-layout")) return "it is an OCI archive: give oci-archive:FILE";
  if ([...members.keys()].some((key) => key.startsWith("usr/"))) return "of a root filesystem give tar:FILE";
  return "it is damaged or no image archive";
}

/** A name in an archive in the form that members are found by. */
export function archiveKey(name: Uint8Array): string {
  return splitPath(name).map(latin1).join("/");
}

/** The bytes of a file, in pieces that may be kept. @throws SealError `input` when it can't be read */
export async function* readStored({ subject, path, start, size }: StoredFile): AsyncGenerator<Uint8Array> {
  if (size === 0) return;
  const stream = createReadStream(path, { start, end: start + size - 1, highWaterMark: CHUNK_SIZE });
  try {
    for await (const chunk of stream) yield chunk as Uint8Array;
  } catch (error) {
    throw isSystemError(error) ? inputError(subject, `can't be read: ${reasonOf(error)}`, error) : error;
  } finally {
    stream.destroy();
  }
}

/**
 * The bytes of a file in pieces, each good until the next one is asked for: no memory is made for the bytes that pass.
 * @throws SealError `input` when it can't be read, or is shorter than it was
 */
export async function* piecesOf({ subject, path, start, size }: StoredFile): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.allocUnsafe(Math.min(size, CHUNK_SIZE));
  const handle = await opened(subject, path);
  try {
    for (let done = 0; done < size; ) {
      const length = await readInto(handle, buffer.subarray(0, size - done), start + done, subject);
      if (length === 0)
        throw inputError(subject, "became shorter while it was read; run seal again when nothing writes to it");
      yield buffer.subarray(0, length);
      done += length;
    }
  } finally {
    await handle.close();
  }
}

/** Bytes from a place of a file, fewer where it ends. @throws SealError `input` when it can't be read */
export async function readAt(
  { subject, path, start, size }: StoredFile,
  offset: number,
  length: number,
): Promise<Buffer> {
  const wanted = Math.max(0, Math.min(length, size - offset));
  const buffer = Buffer.alloc(wanted);
  const handle = await opened(subject, path);
  try {
    let done = 0;
    while (done < wanted) {
      const length = await readInto(handle, buffer.subarray(done), start + offset + done, subject);
      if (length === 0) break;
      done += length;
    }
    return buffer.subarray(0, done);
  } finally {
    await handle.close();
  }
}

async function opened(subject: string, path: string): Promise<FileHandle> {
  return explained(subject, open(path, constants.O_RDONLY | constants.O_NONBLOCK));
}

/** Up to as many bytes as the buffer takes; 0 where the file ends. */
async function readInto(handle: FileHandle, buffer: Uint8Array, position: number, subject: string): Promise<number> {
  return (await explained(subject, handle.read(buffer, 0, buffer.length, position))).bytesRead;
}

async function explained<Result>(subject: string, work: Promise<Result>): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    throw isSystemError(error) ? inputError(subject, `can't be read: ${reasonOf(error)}`, error) : error;
  }
}
