/**
 * Large files as chunk lists: views of their bytes, in memory or not, that are put together and handed on
 * without being copied.
 */

/** One array with the bytes of all parts, in order. */
export function concat(parts: Chunks): Uint8Array {
  if (parts instanceof StoredBytes) return parts.read(0, parts.size);
  const result = new Uint8Array(byteLength(parts));
  let offset = 0;
  for (const part of parts) {
    result.set(part, offset);
    offset += part.length;
  }
  return result;
}

/**
 * The bytes of a large file in order: views, so that it need not be copied together, or what is read
 * when it is asked for.
 */
export type Chunks = readonly Uint8Array[] | StoredBytes;

/** Bytes in a file, or of a part of it, that are not in memory: each time that they are asked for they are read. */
export class StoredBytes implements Iterable<Uint8Array> {
  readonly #read: (into: Uint8Array, offset: number) => void;
  readonly #start: number;
  /** In bytes. */
  readonly size: number;

  /** @param read fills an array with what the file has from an offset on, or throws */
  constructor(read: (into: Uint8Array, offset: number) => void, size: number, start = 0) {
    this.#read = read;
    this.#start = start;
    this.size = size;
  }

  /** A copy of the bytes from `start` to `end` (exclusive). @throws RangeError when they do not lie in it */
  read(start: number, end: number): Uint8Array {
    const bytes = Buffer.allocUnsafeSlow(end - start);
    this.readInto(bytes, start);
    return bytes;
  }

  /** Fills an array with the bytes from `start` on. @throws RangeError when they do not lie in it */
  readInto(bytes: Uint8Array, start: number): void {
    this.#check(start, start + bytes.length);
    this.#read(bytes, this.#start + start);
  }

  /** The bytes from `start` to `end`, not read yet. @throws RangeError when they do not lie in it */
  slice(start: number, end: number): StoredBytes {
    this.#check(start, end);
    return new StoredBytes(this.#read, end - start, this.#start + start);
  }

  *[Symbol.iterator](): Generator<Uint8Array> {
    for (let at = 0; at < this.size; at += PIECE) yield this.read(at, Math.min(at + PIECE, this.size));
  }

  #check(start: number, end: number): void {
    if (start < 0 || end < start || end > this.size) throw new RangeError(`no such range: ${start} to ${end}`);
  }
}
const PIECE = 1 << 18;

/** The beginning of a chunk list: its first chunk, or a mebibyte of what is not in memory. */
export function firstBytes(chunks: Chunks): Uint8Array {
  if (chunks instanceof StoredBytes) return chunks.read(0, Math.min(chunks.size, HEAD));
  return chunks[0] ?? new Uint8Array();
}
const HEAD = 1 << 20;

/**
 * Views of the bytes from `start` to `end` (exclusive) of a chunk list, in order.
 * @throws RangeError when the range does not lie in the list
 */
export function* readRange(chunks: Chunks, start: number, end: number): Generator<Uint8Array> {
  if (start < 0 || end < start) throw new RangeError(`no such range: ${start} to ${end}`);
  if (chunks instanceof StoredBytes) {
    yield* chunks.slice(start, end);
    return;
  }
  let position = 0;
  for (const chunk of chunks) {
    const from = Math.max(start - position, 0);
    const to = Math.min(end - position, chunk.length);
    if (from < to) yield chunk.subarray(from, to);
    position += chunk.length;
    if (position >= end) return;
  }
  if (position < end) throw new RangeError(`range ends at ${end}, the chunks at ${position}`);
}

/**
 * The bytes from `start` to `end` (exclusive) as a chunk list; nothing is read.
 * @throws RangeError when they do not lie in it
 */
export function sliceChunks(chunks: Chunks, start: number, end: number): Chunks {
  return chunks instanceof StoredBytes ? chunks.slice(start, end) : [...readRange(chunks, start, end)];
}

/**
 * Gives the bytes from `start` to `end` to a function, piece by piece, in little memory.
 * @param use a piece is good during the call only; false: no more of them
 */
export function forEachPiece(chunks: Chunks, start: number, end: number, use: (piece: Uint8Array) => unknown): void {
  if (!(chunks instanceof StoredBytes)) {
    for (const piece of readRange(chunks, start, end)) if (use(piece) === false) return;
    return;
  }
  const buffer = Buffer.allocUnsafeSlow(Math.min(PIECE, end - start));
  for (let at = start; at < end; at += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, end - at));
    chunks.readInto(piece, at);
    if (use(piece) === false) return;
  }
}

/** Bytes as a chunk list, which they may be already. */
export function chunksOf(bytes: Uint8Array | Chunks): Chunks {
  return bytes instanceof Uint8Array ? [bytes] : bytes;
}

/** Length of a chunk list in bytes. */
export function byteLength(parts: Chunks): number {
  if (parts instanceof StoredBytes) return parts.size;
  let length = 0;
  for (const part of parts) length += part.length;
  return length;
}

/** Chunk lists joined into one; nothing is copied or read. */
export function joinChunks(...lists: readonly Chunks[]): Chunks {
  if (lists.every((list) => !(list instanceof StoredBytes))) return lists.flatMap((list) => [...list]);
  const places: { readonly list: Chunks; readonly start: number; readonly end: number }[] = [];
  let size = 0;
  for (const list of lists) {
    const end = size + byteLength(list);
    places.push({ list, start: size, end });
    size = end;
  }
  const read = (into: Uint8Array, offset: number) => {
    for (const { list, start, end } of places) {
      const from = Math.max(start, offset);
      const to = Math.min(end, offset + into.length);
      if (from < to) readInto(list, from - start, into.subarray(from - offset, to - offset));
    }
  };
  return new StoredBytes(read, size);
}

/** Fills an array with what a chunk list has from an offset on. */
function readInto(chunks: Chunks, start: number, into: Uint8Array): void {
  if (chunks instanceof StoredBytes) {
    chunks.readInto(into, start);
    return;
  }
  let at = 0;
  for (const part of readRange(chunks, start, start + into.length)) {
    into.set(part, at);
    at += part.length;
  }
}

/** Bytes of a file that are produced after later ones, as they were not known before. */
export interface Patch {
  /** Offset in the file. */
  readonly at: number;
  readonly bytes: Uint8Array;
}

/**
 * The bytes from `start` to `end` piece by piece, in little memory. A piece is good until the next
 * but one is asked for.
 */
export function* piecesOf(chunks: Chunks, start: number, end: number): Generator<Uint8Array, void> {
  if (!(chunks instanceof StoredBytes)) {
    for (const part of readRange(chunks, start, end))
      for (let at = 0; at < part.length; at += LARGE_PIECE) yield part.subarray(at, at + LARGE_PIECE);
    return;
  }
  const size = Math.min(LARGE_PIECE, end - start);
  let [buffer, other] = [Buffer.allocUnsafeSlow(size), Buffer.allocUnsafeSlow(size)];
  for (let at = start; at < end; at += size) {
    const piece = buffer.subarray(0, Math.min(size, end - at));
    chunks.readInto(piece, at);
    yield piece;
    [buffer, other] = [other, buffer];
  }
}
const LARGE_PIECE = 1 << 20;
