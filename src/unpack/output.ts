/** Where decompressors put what they unpack: one growing array, so that matches can reach back into it, with a limit. */
import { inputError } from "../errors.ts";

const FIRST_SIZE = 1 << 20;
/** Up to here bytes are copied quicker one by one. */
const SHORT_COPY = 32;

/** What a stream unpacked to. */
export interface Unpacked {
  readonly bytes: Uint8Array;
  /** Bytes of the input that the stream has; something else may follow. */
  readonly consumed: number;
}

export class Output {
  readonly #limit: number;
  readonly #subject: string;
  #bytes = new Uint8Array(FIRST_SIZE);
  #length = 0;

  /**
   * @param limit bytes that are unpacked at most
   * @param subject what the user knows the input by
   */
  constructor(limit: number, subject: string) {
    this.#limit = limit;
    this.#subject = subject;
  }

  get length(): number {
    return this.#length;
  }

  /** A view of what is there so far. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** The byte so many places back; 1 is the last one. The caller has checked that there is one. */
  back(distance: number): number {
    return this.#bytes[this.#length - distance] as number;
  }

  push(byte: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = byte;
  }

  append(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Repeats what stands `distance` bytes back; what is copied may reach into itself. */
  copy(distance: number, length: number): void {
    this.#reserve(length);
    const bytes = this.#bytes;
    const start = this.#length;
    this.#length += length;
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

  /** @throws SealError `input` beyond the limit */
  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed > this.#limit) throw tooLarge(this.#limit, this.#subject);
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.min(Math.max(this.#bytes.length * 2, needed), this.#limit));
    larger.set(this.finish());
    this.#bytes = larger;
  }
}

/** @param format as users know it */
export function damaged(subject: string, format = "LZMA", cause?: Error): Error {
  return inputError(subject, `its ${format} data is damaged or truncated`, cause);
}

export function tooLarge(limit: number, subject: string): Error {
  return inputError(subject, `unpacks to more than ${limit / 2 ** 20} MiB; nothing that boots is so large`);
}
