/** What floors of layers call of libcrypto and zlib, at once or on one of the threads that node has for files. */
import { addressOf, find } from "./calls.ts";

interface Call<Args extends unknown[]> {
  (...args: Args): number;
  readonly async: (...args: [...args: Args, done: (error: Error | null, result: number) => void]) => void;
}

/** Makes a call on another thread. */
export function beside<Args extends unknown[]>(call: Call<Args>, ...args: Args): Promise<number> {
  return new Promise((resolve) => call.async(...args, (_, result) => resolve(result)));
}

const sha256Init: (context: number) => number = find("int SHA256_Init(uintptr_t context)");
const sha256Update: Call<[context: number, from: number, length: number]> = find(
  "int SHA256_Update(uintptr_t context, uintptr_t from, size_t length)",
);

const sha256Final: (to: number, context: number) => number = find("int SHA256_Final(uintptr_t to, uintptr_t context)");

/** The SHA-256 of a stream. */
export class Sha256 {
  /** A `SHA256_CTX`, and from {@link DIGEST_AT} on the digest. */
  readonly #context = new Uint8Array(DIGEST_AT + 32);
  readonly #at = addressOf(this.#context);
  #last: Promise<unknown> = Promise.resolve();

  constructor() {
    sha256Init(this.#at);
  }

  add(from: number, length: number): void {
    sha256Update(this.#at, from, length);
  }

  /** On another thread, when all before has been added. */
  addBeside(from: number, length: number): Promise<unknown> {
    this.#last = this.#last.then(() => beside(sha256Update, this.#at, from, length));
    return this.#last;
  }

  /** In hex. All must have been added. */
  digest(): string {
    sha256Final(this.#at + DIGEST_AT, this.#at);
    return Buffer.from(this.#context.subarray(DIGEST_AT)).toString("hex");
  }
}
const DIGEST_AT = 128;

const version: () => string = find("const char *zlibVersion()");
const inflateInit: (stream: number, windowBits: number, version: string, size: number) => number = find(
  "int inflateInit2_(uintptr_t stream, int window_bits, const char *version, int size)",
);
export const inflate: Call<[stream: number, flush: number]> = find("int inflate(uintptr_t stream, int flush)");
const inflateEnd: (stream: number) => number = find("int inflateEnd(uintptr_t stream)");

/** A gzip stream of one member: a `z_stream` of zlib. */
export class Gunzip {
  readonly #words = new BigUint64Array(14);
  readonly #halves = new Uint32Array(this.#words.buffer);
  readonly at = addressOf(new Uint8Array(this.#words.buffer));

  constructor() {
    inflateInit(this.at, 15 + 16, version(), this.#words.byteLength);
  }

  give(address: number, length: number): void {
    this.#words[0] = BigInt(address);
    this.#halves[2] = length;
  }

  room(address: number, length: number): void {
    this.#words[3] = BigInt(address);
    this.#halves[8] = length;
  }

  /** Bytes that the room has left. */
  get left(): number {
    return this.#halves[8] ?? 0;
  }

  free(): void {
    inflateEnd(this.at);
  }
}
