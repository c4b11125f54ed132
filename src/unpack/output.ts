/**
 * Where decompressors put what they unpack. Either one growing array, or a window of the last bytes, as far as matches
 * reach back, from which all goes on to a reader: then what is unpacked needs no memory.
 */
import { Cursor, type Reader } from "../bytes.ts";
import { inputError, type SealError } from "../errors.ts";

const FIRST_SIZE = 1 << 20;
/** Up to here bytes are copied quicker one by one. */
const SHORT_COPY = 32;

/** What a stream unpacked to. */
export interface Unpacked {
  readonly bytes: Uint8Array;
  /** Bytes of the input that the stream has; something else may follow. */
  readonly consumed: number;
}

/** Unpacks the stream that the input begins with, from its magic number on. @returns bytes of the input that it has */
export type Unpack = (input: Reader, output: Output) => number | Promise<number>;

/** Takes what is unpacked, part by part; a view that is good during the call only. */
export type Sink = (bytes: Uint8Array) => void;

/** A checksum over more bytes. */
type Sum = (bytes: Uint8Array, previous: number) => number;

export class Output {
  /** What the user knows the input by. */
  readonly subject: string;
  readonly #limit: number;
  readonly #sink: Sink | null;
  #window = Number.POSITIVE_INFINITY;
  #bytes = new Uint8Array();
  /** Length of what is in `#bytes`, how much went before it, and up to where in it all was given to the sink. */
  #end = 0;
  #dropped = 0;
  #sent = 0;
  #sum: { readonly add: Sum; value: number; from: number } | null = null;

  /**
   * @param limit bytes that are unpacked at most
   * @param subject what the user knows the input by
   * @param sink null: all of it stays here
   */
  constructor(limit: number, subject: string, sink: Sink | null = null) {
    this.#limit = limit;
    this.subject = subject;
    this.#sink = sink;
    if (sink !== null) this.#window = 0;
  }

  get length(): number {
    return this.#dropped + this.#end;
  }

  /** How far matches may reach back; where all is kept, to the beginning. */
  get window(): number {
    return this.#window;
  }

  /** Before a stream whose matches reach back that far. */
  set window(bytes: number) {
    if (this.#sink !== null) this.#window = bytes;
  }

  /** A view of what is there so far; only without a sink. */
  finish(): Uint8Array {
    if (this.#sink !== null) throw new Error("what was unpacked is not here any more");
    return this.#bytes.subarray(0, this.#end);
  }

  /** Gives the rest to the sink. */
  flush(): void {
    if (this.#sink === null || this.#sent === this.#end) return;
    this.#sink(this.#bytes.subarray(this.#sent, this.#end));
    this.#sent = this.#end;
  }

  /** Starts a checksum over what comes from here on. */
  startSum(add: Sum, value = 0): void {
    this.#sum = { add, value, from: this.#end };
  }

  /** Ends it. */
  finishSum(): number {
    this.#addToSum();
    const value = this.#sum?.value ?? 0;
    this.#sum = null;
    return value;
  }

  /** The byte so many places back; 1 is the last one. The caller has checked that there is one. */
  back(distance: number): number {
    return this.#bytes[this.#end - distance] as number;
  }

  push(byte: number): void {
    if (this.#end === this.#bytes.length || this.length === this.#limit) this.#reserve(1);
    this.#bytes[this.#end++] = byte;
  }

  append(bytes: Uint8Array): void {
    if (this.#sink !== null && this.#window === 0) {
      this.#pass(bytes);
      return;
    }
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  /** Repeats what is `distance` bytes back; the copy may overlap itself. */
  copy(distance: number, length: number): void {
    this.#reserve(length);
    const bytes = this.#bytes;
    const start = this.#end;
    this.#end += length;
    if (length > distance && length <= SHORT_COPY) {
      for (let index = start; index < start + length; index++) bytes[index] = bytes[index - distance] as number;
      return;
    }
    // What reaches into itself is a pattern, of which there is more after each step.
    for (let done = 0; done < length; ) {
      const step = Math.min(distance + done, length - done);
      bytes.copyWithin(start + done, start - distance, start - distance + step);
      done += step;
    }
  }

  /** Nothing of it is looked at again. */
  #pass(bytes: Uint8Array): void {
    if (this.length + bytes.length > this.#limit) throw tooLarge(this.#limit, this.subject);
    this.#drop();
    this.#sum = this.#sum === null ? null : { ...this.#sum, value: this.#sum.add(bytes, this.#sum.value) };
    this.#sink?.(bytes);
    this.#dropped += bytes.length;
  }

  /** Gives all to the sink, and drops what precedes the window. */
  #drop(): void {
    this.#addToSum();
    this.flush();
    const kept = Math.min(this.#end, this.#window);
    this.#bytes.copyWithin(0, this.#end - kept, this.#end);
    this.#dropped += this.#end - kept;
    this.#end = this.#sent = kept;
    if (this.#sum !== null) this.#sum.from = kept;
  }

  #addToSum(): void {
    const sum = this.#sum;
    if (sum === null || sum.from === this.#end) return;
    sum.value = sum.add(this.#bytes.subarray(sum.from, this.#end), sum.value);
    sum.from = this.#end;
  }

  /** @throws SealError `input` beyond the limit */
  #reserve(more: number): void {
    const needed = this.length + more;
    if (needed > this.#limit) throw tooLarge(this.#limit, this.subject);
    if (this.#end + more <= this.#bytes.length) return;
    // Half a window more than there must be, so that it is not moved too often.
    const most = this.#sink === null ? this.#limit : this.#window + Math.max(this.#window >>> 1, FIRST_SIZE);
    if (this.#bytes.length >= most) this.#drop();
    if (this.#end + more <= this.#bytes.length) return;
    const size = Math.max(FIRST_SIZE, this.#bytes.length * 2);
    const larger = new Uint8Array(Math.max(Math.min(size, most), this.#end + more));
    larger.set(this.#bytes.subarray(0, this.#end));
    this.#bytes = larger;
  }
}

/** Unpacks all of a stream into memory. @throws SealError `input` for damaged data, and beyond the limit */
export function unpackWhole(
  unpack: (input: Reader, output: Output) => number,
  bytes: Uint8Array,
  limit: number,
  subject: string,
): Unpacked {
  const output = new Output(limit, subject);
  const consumed = unpack(new Cursor(bytes, subject), output);
  return { bytes: output.finish(), consumed };
}

/** @param format as users know it */
export function damaged(subject: string, format = "LZMA", cause?: Error): SealError {
  return inputError(subject, `its ${format} data is damaged or truncated`, cause);
}

function tooLarge(limit: number, subject: string): SealError {
  return inputError(subject, `unpacks to more than ${limit / 2 ** 20} MiB; nothing that boots is so large`);
}
