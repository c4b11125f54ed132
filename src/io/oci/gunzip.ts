/** Unpacks gzip on another thread, some pieces ahead of the caller, or on this one. */
import type { GzipStream } from "../libz.ts";

/** Of these a layer has some hundred: each is a way to another thread and back. */
const PIECE_SIZE = 1 << 20;
/** What this thread unpacks it also hashes, see `piece-hash.ts`, and reads while it is in the processor's cache. */
const OWN_SIZE = 60 << 10;
/** So many pieces are unpacked before they are asked for: the caller does not need the same time for each of them. */
const AHEAD = 2;
/** For each stream that is unpacked at the same time one more than {@link AHEAD}, which the next one uses again. */
const spare: Uint8Array[] = [];

/**
 * The unpacked bytes, in pieces, each good until the next one is asked for.
 * @param stored each piece is good until the one after the next is asked for. All are read, also those after the end of
 *   the stream.
 * @param stream which is freed in the end
 * @param beside whether the next piece is to be unpacked on another thread. Where those that read layers keep all cores
 *   busy, that costs more than it saves.
 * @param ofSmallMembers unpacks the rest of a stream whose members are too small for one call each on another thread
 * @throws Error as {@link GzipStream.unpack} and {@link GzipStream.finish}; what `stored` throws
 */
export async function* gunzipped(
  stored: AsyncIterable<Uint8Array>,
  stream: GzipStream,
  beside: () => boolean,
  ofSmallMembers: (stored: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  const source = new Ahead(stored);
  const memory = Array.from({ length: AHEAD + 1 }, () => spare.pop() ?? new Uint8Array(new ArrayBuffer(PIECE_SIZE)));
  /** What is or will be unpacked, one piece after the other. */
  const ahead: Promise<Uint8Array>[] = [];
  let turn = 0;
  const next = () => memory[turn++ % memory.length] as Uint8Array;
  try {
    while (ahead.length > 0 || !stream.hasSmallMembers) {
      const piece = await (ahead.shift() ?? fill(next().subarray(0, OWN_SIZE), stream, source, false));
      while (ahead.length < AHEAD && !stream.hasSmallMembers && beside()) {
        const filled = (ahead.at(-1) ?? Promise.resolve()).then(() => fill(next(), stream, source, true));
        // It is thrown where it is waited for.
        filled.catch(() => {});
        ahead.push(filled);
      }
      if (piece.length > 0) yield piece;
      else if (!stream.hasSmallMembers) break;
    }
    if (stream.hasSmallMembers) yield* ofSmallMembers(source.onwards(stream.rest));
    await source.rest();
  } finally {
    // Whoever wants no more of it must not take the memory from the threads that read and write it.
    await Promise.allSettled(ahead);
    await source.close();
    stream.free();
    spare.push(...memory);
  }
}

/** Fills the memory. @returns the part of it that is filled: all of it, unless the stream has ended */
async function fill(memory: Uint8Array, stream: GzipStream, source: Ahead, beside: boolean): Promise<Uint8Array> {
  if (stream.hasSmallMembers) return memory.subarray(0, 0);
  for (let length = 0; ; ) {
    const rest = memory.subarray(length);
    length += beside ? await stream.unpackBeside(rest) : stream.unpack(rest);
    if (length === memory.length) return memory;
    if (stream.hasEnded || stream.hasSmallMembers) return memory.subarray(0, length);
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

  /**
   * All that are left, after the rest of the last one. None is asked for before the caller does, who may still work on
   * the one before.
   */
  async *onwards(rest: Uint8Array): AsyncGenerator<Uint8Array> {
    yield rest;
    for (let next = await this.#next; next.done !== true; next = await this.#next) {
      yield next.value;
      this.#next = this.#ask();
    }
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
