/** Unpacks gzip on another thread, one piece ahead of the caller. */
import type { GzipStream } from "../libz.ts";

/** Of these a layer has some hundred: each is a way to another thread and back. */
const PIECE_SIZE = 1 << 20;
/** Two for each stream that is unpacked at the same time, which the next one uses again. */
const spare: Uint8Array[] = [];

/**
 * The unpacked bytes, in pieces, each good until the next one is asked for.
 * @param stored each piece is good until the one after the next is asked for. All are read, also those after the end of
 *   the stream.
 * @param stream which is freed in the end
 * @throws Error as {@link GzipStream.unpack} and {@link GzipStream.finish}; what `stored` throws
 */
export async function* gunzipped(
  stored: AsyncIterable<Uint8Array>,
  stream: GzipStream,
): AsyncGenerator<Uint8Array, void> {
  const source = new Ahead(stored);
  const memory = [0, 1].map(() => spare.pop() ?? new Uint8Array(new ArrayBuffer(PIECE_SIZE)));
  let filling = fill(memory[0] as Uint8Array, stream, source);
  try {
    for (let turn = 1; ; turn ^= 1) {
      const piece = await filling;
      if (piece.length === 0) break;
      filling = fill(memory[turn] as Uint8Array, stream, source);
      // It is thrown where it is waited for.
      filling.catch(() => {});
      yield piece;
    }
    await source.rest();
  } finally {
    // Whoever wants no more of it must not take the memory from the threads that read and write it.
    await filling.catch(() => {});
    await source.close();
    stream.free();
    spare.push(...memory);
  }
}

/** Fills the memory. @returns the part of it that is filled: all of it, unless the stream has ended */
async function fill(memory: Uint8Array, stream: GzipStream, source: Ahead): Promise<Uint8Array> {
  for (let length = 0; ; ) {
    length += await stream.unpackBeside(memory.subarray(length));
    if (length === memory.length) return memory;
    if (stream.hasEnded) return memory.subarray(0, length);
    const piece = await source.next();
    if (piece === null) {
      stream.finish();
      return memory.subarray(0, length);
    }
    stream.give(piece);
  }
}

/** Pieces, of which one is asked for before it is wanted. */
class Ahead {
  readonly #pieces: AsyncIterator<Uint8Array>;
  #next: Promise<IteratorResult<Uint8Array>>;

  constructor(pieces: AsyncIterable<Uint8Array>) {
    this.#pieces = pieces[Symbol.asyncIterator]();
    this.#next = this.#ask();
  }

  /** Null: there are no more. */
  async next(): Promise<Uint8Array | null> {
    const { done, value } = await this.#next;
    if (done === true) return null;
    this.#next = this.#ask();
    return value;
  }

  /** Reads all that are left. */
  async rest(): Promise<void> {
    while ((await this.next()) !== null);
  }

  /** Waits until nothing is read any more. */
  async close(): Promise<void> {
    await this.#next.catch(() => {});
    await this.#pieces.return?.();
  }

  #ask(): Promise<IteratorResult<Uint8Array>> {
    const next = this.#pieces.next();
    // It is thrown where it is waited for.
    next.catch(() => {});
    return next;
  }
}
