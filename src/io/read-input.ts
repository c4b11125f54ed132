/** Reading inputs whole, as far as such a file may go, with errors that name the file. */
import { close, closeSync, fstat, fstatSync, open, openSync, read, readSync, type Stats, statSync } from "node:fs";
import { promisify } from "node:util";
import { type Chunks, StoredBytes } from "../chunks.ts";
import { inputError, SealError } from "../errors.ts";
import { reasonOf } from "./files.ts";

/** Files are read in slices of this size, all at once: most of the time goes into the pages of the new buffer. */
const SLICE = 4 << 20;
/**
 * The most bytes of any file: no PE file is larger, and a disk image given by mistake, or /dev/zero, must
 * not fill the memory.
 */
export const LARGE_FILE = 4 * 2 ** 30;
/**
 * The most bytes of what a person or a script writes, and of devices: keys, certificates, lists, texts.
 * It fits into a string.
 */
export const SMALL_FILE = 64 << 20;

// Node's own module of promises takes a tenth of a start to load.
const openFile = promisify(open);
const statFile = promisify(fstat);
const readFrom = promisify(read);
const closeFile = promisify(close);

/**
 * Reads a whole file: a regular one, a pipe, or what a device gives until its end.
 * @param limit bytes that the file may have
 * @throws SealError `input` that names the file
 */
export async function readInput(path: string | Buffer, limit: number = LARGE_FILE): Promise<Uint8Array> {
  let file: number | null = null;
  try {
    file = await openFile(path, "r");
    const stats = await statFile(file);
    if (stats.isFile() && stats.size > limit) {
      throw new Error(`too large: ${stats.size} bytes, the limit is ${limit}; is it the right file?`);
    }
    return stats.isFile() && stats.size > 0 ? await readSlices(file, stats.size) : await readStream(file, stats, limit);
  } catch (error) {
    if (error instanceof SealError) throw error;
    throw inputError(String(path), `can't be read: ${reasonOf(error)}`, error);
  } finally {
    if (file !== null) await closeFile(file);
  }
}

/** Up to here a file is quicker in memory. */
const SMALL_PROGRAM = 32 << 20;
/** The beginning of a file is kept: headers say how the rest is read, and must say the same at the end. */
const HEAD = 1 << 20;

/**
 * Large files that stay open for what is made of them. They must not be asked for anything when they have been closed.
 */
export class OpenInputs {
  readonly #descriptors: number[] = [];

  /**
   * A file as {@link withInput} gives it.
   * @throws SealError `input` that names the file
   */
  async open(path: string): Promise<Chunks> {
    const stored = openLarge(path);
    if (stored === null) return [await readInput(path)];
    this.#descriptors.push(stored.descriptor);
    return stored.file;
  }

  close(): void {
    for (const descriptor of this.#descriptors.splice(0)) closeSync(descriptor);
  }
}

/**
 * Gives all bytes of a file to a function, in order and piece by piece; the next piece is read meanwhile.
 * @param use a piece is good during the call only; `at` is its offset in the file
 * @throws SealError `input` that names the file
 */
export type PassOver = (use: (piece: Uint8Array, at: number) => void) => Promise<void>;

/**
 * Gives a file to what looks at it. A large regular one is not held: parts of it are read when they are asked for, so
 * that memory does not depend on its size. It must not be asked for anything afterwards.
 * @throws SealError `input` that names the file
 */
export async function withInput<Result>(
  path: string | Buffer,
  use: (file: Chunks, passOver: PassOver) => Promise<Result>,
): Promise<Result> {
  const stored = openLarge(path);
  if (stored === null) {
    const bytes = await readInput(path);
    return use([bytes], async (take) => take(bytes, 0));
  }
  try {
    return await use(stored.file, (take) => passOver(stored, take));
  } finally {
    closeSync(stored.descriptor);
  }
}

interface LargeFile {
  readonly file: StoredBytes;
  readonly descriptor: number;
  /** Its first bytes. */
  readonly head: Uint8Array;
  /** What is thrown where it can't be read. */
  readonly fail: (error: unknown) => SealError;
}

/** What {@link withInput} passes over a large file. */
async function passOver({ file, descriptor, head, fail }: LargeFile, use: Parameters<PassOver>[0]): Promise<void> {
  const { size } = file;
  let [buffer, other] = [Buffer.allocUnsafeSlow(HEAD), Buffer.allocUnsafeSlow(HEAD)];
  const read = async (at: number): Promise<Uint8Array> => {
    const piece = buffer.subarray(0, Math.min(HEAD, size - at));
    [buffer, other] = [other, buffer];
    await readFully(descriptor, piece, at);
    return piece;
  };
  let piece = head;
  for (let at = 0; at < size; at += HEAD) {
    const next = at + HEAD < size ? read(at + HEAD) : Promise.resolve(piece);
    try {
      use(piece, at);
    } catch (error) {
      // The caller closes the file.
      await Promise.allSettled([next]);
      throw error;
    }
    piece = await next.catch((error: unknown) => Promise.reject(fail(error)));
  }
}

/** Null for a file that is better read whole. */
function openLarge(path: string | Buffer): LargeFile | null {
  const stats = statSync(path, { throwIfNoEntry: false });
  const isLarge = stats?.isFile() === true && stats.size > SMALL_PROGRAM && stats.size <= LARGE_FILE;
  if (!isLarge) return null;
  const fail = (error: unknown) => inputError(String(path), `can't be read: ${reasonOf(error)}`, error);
  let descriptor: number;
  try {
    descriptor = openSync(path, "r");
  } catch (error) {
    throw fail(error);
  }
  const head = Buffer.allocUnsafeSlow(HEAD);
  const readFile = (into: Uint8Array, offset: number) => {
    try {
      for (let done = 0; done < into.length; ) {
        const count = readSync(descriptor, into, done, into.length - done, offset + done);
        if (count === 0) throw new Error("it became shorter while it was read");
        done += count;
      }
    } catch (error) {
      throw fail(error);
    }
  };
  const read = (into: Uint8Array, offset: number) => {
    const end = offset + into.length;
    if (end <= HEAD) into.set(head.subarray(offset, end));
    else readFile(into, offset);
  };
  try {
    readFile(head, 0);
    return { file: new StoredBytes(read, fstatSync(descriptor).size), descriptor, head, fail };
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

async function readSlices(file: number, size: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(size);
  const starts = Array.from({ length: Math.ceil(size / SLICE) }, (_, index) => index * SLICE);
  const slices = await Promise.allSettled(
    starts.map((start) => readFully(file, bytes.subarray(start, start + SLICE), start)),
  );
  // Only now nothing reads any more, and the file may be closed.
  for (const slice of slices) if (slice.status === "rejected") throw slice.reason;
  return bytes;
}

/** Pipes, devices, and files that do not report their size (procfs). */
async function readStream(file: number, stats: Stats, limit: number): Promise<Uint8Array> {
  const isDevice = stats.isCharacterDevice() || stats.isBlockDevice();
  const reason = isDevice
    ? "it is a device with endless output; give a file"
    : `too large: more than ${limit} bytes; is it the right file?`;
  return collectStream(readParts(file), isDevice ? SMALL_FILE : limit, () => new Error(reason));
}

async function* readParts(file: number): AsyncGenerator<Uint8Array, void> {
  const part = Buffer.allocUnsafeSlow(1 << 18);
  for (;;) {
    const { bytesRead } = await readFrom(file, part, 0, part.length, null);
    if (bytesRead === 0) return;
    yield Buffer.from(part.subarray(0, bytesRead));
  }
}

/**
 * All that a stream gives.
 * @param limit bytes; more are an error, the one that `tooMuch` makes
 */
export async function collectStream(
  parts: AsyncIterable<Uint8Array>,
  limit: number,
  tooMuch: () => Error,
): Promise<Uint8Array<ArrayBuffer>> {
  const read: Uint8Array[] = [];
  let length = 0;
  for await (const part of parts) {
    read.push(part);
    length += part.length;
    if (length > limit) throw tooMuch();
  }
  return Buffer.concat(read, length);
}

/** @throws Error when the file ends before the buffer is full */
async function readFully(file: number, buffer: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < buffer.length; ) {
    const { bytesRead } = await readFrom(file, buffer, done, buffer.length - done, position + done);
    if (bytesRead === 0) throw new Error("it became shorter while it was read");
    done += bytesRead;
  }
}
