/** Files that are stored as a range of bytes: whole files of a directory, or members of an uncompressed archive. */
import { closeSync, openSync, readSync } from "node:fs";
import { constants, type FileHandle, open, stat } from "node:fs/promises";
import { inputError, type SealError } from "../../errors.ts";
import { isSystemError, reasonOf } from "../files.ts";

/** A file on disk that is read in pieces. */
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

const CHUNK_SIZE = 256 << 10;
/** Without waiting for a writer should a FIFO have taken the place of the file. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

/**
 * Memory for pieces of files that are read one after the other. Where each file has memory of its own, much of the time
 * that reading takes goes to pages that are used for the first time.
 */
export class PieceMemory {
  #buffers: readonly Buffer[] = [];

  /** Two of at least so many bytes; those that were given before are not to be used any more. */
  buffers(size: number): readonly Buffer[] {
    if ((this.#buffers[0]?.length ?? 0) < size) this.#buffers = [0, 1].map(() => Buffer.allocUnsafeSlow(size));
    return this.#buffers;
  }
}

/** A regular file on disk. @throws SealError `input` for anything else */
export async function wholeFile(subject: string, path: string): Promise<StoredFile> {
  try {
    const stats = await stat(path);
    if (!stats.isFile()) throw inputError(subject, "is not a regular file");
    return { subject, path, start: 0, size: stats.size };
  } catch (error) {
    throw unreadable(subject, error);
  }
}

/**
 * The bytes of a file in pieces. Each is good until the one after the next is asked for: no memory is made for the
 * bytes that pass, and the next one can be read while one is worked on.
 * @param chunkSize bytes of a piece
 * @param memory for the pieces, which nobody else uses meanwhile
 * @throws SealError `input` when it can't be read, or is shorter than it was
 */
export async function* storedPieces(
  { subject, path, start, size }: StoredFile,
  chunkSize = CHUNK_SIZE,
  memory = new PieceMemory(),
): AsyncGenerator<Uint8Array> {
  const buffers = memory.buffers(Math.min(size, chunkSize));
  const handle = await opened(subject, path);
  try {
    for (let done = 0, turn = 0; done < size; turn ^= 1) {
      const buffer = buffers[turn] as Buffer;
      const length = await readInto(
        handle,
        buffer.subarray(0, Math.min(size - done, chunkSize)),
        start + done,
        subject,
      );
      if (length === 0) throw shortened(subject);
      yield buffer.subarray(0, length);
      done += length;
    }
  } finally {
    await handle.close();
  }
}

/**
 * {@link storedPieces} for a thread that has nothing else to do than wait for them. Each is good until the next is
 * asked for.
 */
export function* storedPiecesHere(
  { subject, path, start, size }: StoredFile,
  memory: PieceMemory,
): Generator<Uint8Array> {
  const [buffer = Buffer.alloc(0)] = memory.buffers(Math.min(size, CHUNK_SIZE));
  const descriptor = explainedHere(subject, () => openSync(path, OPEN_FLAGS));
  try {
    for (let done = 0; done < size; ) {
      const wanted = Math.min(size - done, CHUNK_SIZE);
      const length = explainedHere(subject, () => readSync(descriptor, buffer, 0, wanted, start + done));
      if (length === 0) throw shortened(subject);
      yield buffer.subarray(0, length);
      done += length;
    }
  } finally {
    closeSync(descriptor);
  }
}

function shortened(subject: string): SealError {
  return inputError(subject, "became shorter while it was read; run seal again when nothing writes to it");
}

/** Bytes from a place of a file, fewer where it ends. @throws SealError `input` when it can't be read */
export async function readStored(
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
  return explained(subject, open(path, OPEN_FLAGS));
}

/** Up to as many bytes as the buffer takes; 0 where the file ends. */
async function readInto(handle: FileHandle, buffer: Uint8Array, position: number, subject: string): Promise<number> {
  return (await explained(subject, handle.read(buffer, 0, buffer.length, position))).bytesRead;
}

async function explained<Result>(subject: string, work: Promise<Result>): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    throw unreadable(subject, error);
  }
}

function explainedHere<Result>(subject: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    throw unreadable(subject, error);
  }
}

function unreadable(subject: string, error: unknown): unknown {
  return isSystemError(error) ? inputError(subject, `can't be read: ${reasonOf(error)}`, error) : error;
}
