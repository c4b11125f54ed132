/**
 * Cuts a Zstandard stream where its frames end (RFC 8878, section 3.1). Node's decompressor stops at the end of a frame
 * and drops what follows in the same piece; layers for partial pulls (zstd:chunked) have thousands of frames, and
 * skippable ones with an index.
 */
import { inputError } from "../../errors.ts";

export const ZSTD_MAGIC = 0xfd2fb528;
/** The last four bits are free. */
export const ZSTD_SKIPPABLE = 0x184d2a50;

const RLE_BLOCK = 1;
/** Pieces are about so large where a frame is larger: each one is a message to another thread. */
const PIECE_SIZE = 256 << 10;

/** Called for each frame that begins. @param isData false: a skippable one */
export type FrameListener = (isData: boolean) => void;

/**
 * The same bytes without skippable frames, cut so that no piece has bytes of two frames.
 * @throws SealError `input` when the stream ends within a frame or something else than a frame follows one
 */
export async function* splitFrames(
  source: AsyncIterable<Uint8Array>,
  subject: string,
  onFrame: FrameListener,
): AsyncGenerator<Uint8Array> {
  const input = new Pieces(source, subject);
  for (;;) {
    const magic = await input.header(4, true);
    if (magic === null) return;
    const word = uint(magic, 0, 4);
    if (isSkippable(word)) {
      onFrame(false);
      await input.skip(uint(await input.required(4), 0, 4));
      input.take();
      continue;
    }
    if (word !== ZSTD_MAGIC) throw inputError(subject, "contains something other than Zstandard frames: it is damaged");
    onFrame(true);
    yield* frame(input);
  }
}

function isSkippable(magic: number): boolean {
  return (magic & 0xffff_fff0) >>> 0 === ZSTD_SKIPPABLE;
}

/** Bytes of a frame's header after its descriptor. */
function frameHeaderLength(descriptor: number): number {
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const dictionary = [0, 1, 2, 4][descriptor & 3] as number;
  const sizeField = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >>> 6] as number;
  return (isSingleSegment ? 0 : 1) + dictionary + sizeField;
}

/** Bytes of a block after its header. @param header its three bytes */
function blockLength(header: number): number {
  return ((header >>> 1) & 3) === RLE_BLOCK ? 1 : header >>> 3;
}

async function* frame(input: Pieces): AsyncGenerator<Uint8Array> {
  const descriptor = (await input.required(1))[0] as number;
  const rest = frameHeaderLength(descriptor);
  if (rest > 0) await input.required(rest);
  for (;;) {
    const block = uint(await input.required(3), 0, 3);
    await input.keep(blockLength(block));
    if ((block & 1) !== 0) break;
    if (input.kept >= PIECE_SIZE) yield input.take();
  }
  if ((descriptor & 4) !== 0) await input.required(4);
  yield input.take();
}

/** Little endian. */
function uint(bytes: Uint8Array, start: number, length: number): number {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).readUIntLE(start, length);
}

/** A stream read piece by piece; what was read is kept until it is taken, though pieces are not good for so long. */
class Pieces {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #subject: string;
  #rest: Uint8Array = new Uint8Array();
  #kept: Uint8Array[] = [];
  /** Bytes that are kept. */
  kept = 0;

  constructor(source: AsyncIterable<Uint8Array>, subject: string) {
    this.#source = source[Symbol.asyncIterator]();
    this.#subject = subject;
  }

  async required(length: number): Promise<Uint8Array> {
    const bytes = await this.header(length, false);
    if (bytes === null) throw this.#truncated();
    return bytes;
  }

  /** Reads and keeps a few bytes. @returns null when the stream ends before the first of them, and that is allowed */
  async header(length: number, mayEnd: boolean): Promise<Uint8Array | null> {
    const parts: Uint8Array[] = [];
    for await (const part of this.#parts(length, mayEnd)) parts.push(Uint8Array.from(part));
    if (parts.length === 0) return null;
    const bytes = Buffer.concat(parts);
    this.#keep(bytes);
    return bytes;
  }

  /** Reads and keeps. */
  async keep(length: number): Promise<void> {
    for await (const part of this.#parts(length, false)) this.#keep(part);
  }

  async skip(length: number): Promise<void> {
    for await (const _ of this.#parts(length, false));
  }

  /** All that was kept since the last call, in one piece. */
  take(): Uint8Array {
    const bytes = Buffer.concat(this.#kept);
    this.#kept = [];
    this.kept = 0;
    return bytes;
  }

  #keep(bytes: Uint8Array): void {
    this.#kept.push(bytes);
    this.kept += bytes.length;
  }

  async *#parts(length: number, mayEnd: boolean): AsyncGenerator<Uint8Array> {
    for (let left = length; left > 0; ) {
      if (this.#rest.length === 0) {
        if (this.#kept.length > 0) this.#kept = [Buffer.concat(this.#kept)];
        const { value, done } = await this.#source.next();
        if (done && mayEnd && left === length) return;
        if (done) throw this.#truncated();
        this.#rest = value;
      }
      const part = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(part.length);
      left -= part.length;
      if (part.length > 0) yield part;
    }
  }

  #truncated(): Error {
    return inputError(this.#subject, "ends in the middle of a Zstandard frame: it is truncated");
  }
}
