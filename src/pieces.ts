/** Large files that are put together and handed on piece by piece, wherever their bytes are. */
import { byteLength, type Chunks, readRange, StoredBytes } from "./bytes.ts";

/** Chunk lists one behind the other, as one; nothing is copied or read. */
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

/** Bytes of a file that come after those behind them: what was not known before. */
export interface Patch {
  /** Offset in the file. */
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** The bytes from `start` to `end` piece by piece, in little memory. A piece is good until the next but one is asked for. */
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
