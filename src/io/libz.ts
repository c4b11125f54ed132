/**
 * Unpacks gzip by the functions of the zlib that node itself is linked with, called with addresses. Node's stream makes
 * new memory for each piece; collecting it costs more than half as much as unpacking.
 */
import koffi from "koffi";
import { findInNode, unmoved } from "./libcrypto.ts";

/** Calls of zlib (zlib.h). Addresses are numbers. */
interface ZlibFunctions {
  readonly version: () => string | null;
  readonly init: (stream: number, windowBits: number, version: string, size: number) => number;
  readonly inflate: {
    (stream: number, flush: number): number;
    readonly async: (...args: [...call: [number, number], done: Done]) => void;
  };
  readonly reset: (stream: number) => number;
  readonly end: (stream: number) => number;
}
type Done = (error: Error | null, result: number) => void;

/** Size of a `z_stream` where pointers and `unsigned long` have 64 bits; zlib refuses another one. */
const STREAM_SIZE = 112;
/** Places of its fields `next_in`, `next_out` and `msg`, in words of 64 bits. */
const [NEXT_IN, NEXT_OUT, MESSAGE] = [0, 3, 6] as const;
/** Places of `avail_in` and `avail_out`, in words of 32 bits. */
const [AVAIL_IN, AVAIL_OUT] = [2, 8] as const;

const [OK, STREAM_END, BUF_ERROR] = [0, 1, -5] as const;
/** The largest window, and gzip only. */
const WINDOW_BITS = 15 + 16;
const NO_FLUSH = 0;
/** Bytes of a member, packed and unpacked, that are worth the way to another thread. They can be as small as a file. */
const WORTH_WAY = 64 << 10;

/** Two members, and what they hold together. */
const TWO_MEMBERS =
  "1f8b08000000000000032b4e4dcc5128cd2b484cce2e5628c9c82c562829cf4c4ed551284695000043a737ee280000001f8b0800000000000003cb2c562829cf4c4ed551284e4dcc5128cd2b484cce2e5628c9c8844b00007cb9ab0923000000";
const WHAT_THEY_HOLD = "seal unpacks this twice, ".repeat(3);

/**
 * A gzip stream of any number of members (RFC 1952). What follows them is passed over if it begins with a zero, and is
 * damage otherwise. While {@link unpackBeside} has not ended, another thread uses the memory, and nothing else may be
 * called.
 */
export class GzipStream {
  readonly #functions: ZlibFunctions;
  /** The `z_stream`, in which zlib's own memory remembers where it is: it must stay there. */
  readonly #words = new BigUint64Array(new ArrayBuffer(STREAM_SIZE));
  readonly #halves = new Uint32Array(this.#words.buffer);
  readonly #address = Number(koffi.address(this.#words));
  /** What zlib reads and writes, which must not be collected before it has. */
  #input: Uint8Array = new Uint8Array();
  #output: Uint8Array = new Uint8Array();
  #isBusy = false;
  /** Whether what has been unpacked is whole members. */
  #isWhole = false;
  #hasSmallMembers = false;

  private constructor(functions: ZlibFunctions) {
    this.#functions = functions;
  }

  /**
   * @param find the function of a prototype in C; throws where there is none
   * @returns null where node must do it; else {@link free} has to be called in the end
   */
  static open(find: (prototype: string) => unknown = findInNode): GzipStream | null {
    const functions = functionsOf(find);
    return functions === null ? null : GzipStream.#opened(functions);
  }

  static #opened(functions: ZlibFunctions): GzipStream | null {
    const version = functions.version() ?? "";
    const stream = new GzipStream(functions);
    return functions.init(stream.#address, WINDOW_BITS, version, STREAM_SIZE) === OK ? stream : null;
  }

  /** Whether {@link TWO_MEMBERS} comes out right. */
  static isRight(functions: ZlibFunctions): boolean {
    const stream = GzipStream.#opened(functions);
    if (stream === null) return false;
    try {
      const output = new Uint8Array(new ArrayBuffer(WHAT_THEY_HOLD.length + 1));
      stream.give(Buffer.from(TWO_MEMBERS, "hex"));
      const length = stream.unpack(output);
      return (
        stream.#isWhole && !stream.hasInput && Buffer.from(output).toString("latin1", 0, length) === WHAT_THEY_HOLD
      );
    } catch {
      return false;
    } finally {
      stream.free();
    }
  }

  /** Whether there is more in the last piece: more than the memory took, or what follows the end of the stream. */
  get hasInput(): boolean {
    return this.#halves[AVAIL_IN] !== 0;
  }

  /** Whether what is left of the last piece, and all pieces after it, are not of the stream. */
  get hasEnded(): boolean {
    return this.#isWhole && this.hasInput && !this.#hasSmallMembers;
  }

  /**
   * Whether {@link unpackBeside} has stopped at the end of a member that is not worth the way to another thread. The
   * {@link rest} begins with another member.
   */
  get hasSmallMembers(): boolean {
    return this.#hasSmallMembers;
  }

  /** What has not been unpacked of the last piece. */
  get rest(): Uint8Array {
    return this.#input.subarray(this.#input.length - (this.#halves[AVAIL_IN] ?? 0));
  }

  /** Adds a piece when there is no more in the last one. It must stay as it is until then. */
  give(piece: Uint8Array): void {
    if (this.#isBusy || this.hasInput) throw new Error("zlib has not read the piece before");
    this.#input = unmoved(piece);
    this.#words[NEXT_IN] = koffi.address(this.#input);
    this.#halves[AVAIL_IN] = piece.length;
  }

  /**
   * Unpacks as much as fits.
   * @param output a part of memory that is larger than 64 bytes
   * @returns how many bytes; fewer than fit: there are no more in the last piece
   * @throws Error with the words of zlib for what is damaged
   */
  unpack(output: Uint8Array): number {
    this.#begin(output);
    try {
      let result = this.#functions.inflate(this.#address, NO_FLUSH);
      while (this.#isAtNext(result) && this.#begins()) result = this.#functions.inflate(this.#address, NO_FLUSH);
      return this.#unpacked(result);
    } finally {
      this.#isBusy = false;
    }
  }

  /**
   * {@link unpack} on one of the threads that node has for files, while this one goes on. It stops where there are
   * {@link hasSmallMembers}.
   */
  async unpackBeside(output: Uint8Array): Promise<number> {
    this.#begin(output);
    try {
      let before = this.#left;
      let result = await this.#inflateBeside();
      while (this.#isAtNext(result)) {
        const used = before - this.#left;
        this.#hasSmallMembers = used > 0 && used < WORTH_WAY;
        if (this.#hasSmallMembers || !this.#begins()) break;
        before = this.#left;
        result = await this.#inflateBeside();
      }
      return this.#unpacked(result);
    } finally {
      this.#isBusy = false;
    }
  }

  /** No other piece comes. @throws Error with the words of node when a member has not ended */
  finish(): void {
    if (!this.#isWhole) throw new Error("unexpected end of file");
  }

  free(): void {
    if (this.#isBusy) throw new Error("zlib still uses the memory");
    this.#functions.end(this.#address);
  }

  /** Bytes that zlib may still read and write. */
  get #left(): number {
    return (this.#halves[AVAIL_IN] ?? 0) + (this.#halves[AVAIL_OUT] ?? 0);
  }

  #begin(output: Uint8Array): void {
    if (this.#isBusy) throw new Error("zlib still uses the memory");
    this.#isBusy = true;
    this.#hasSmallMembers = false;
    this.#output = output;
    this.#words[NEXT_OUT] = koffi.address(output);
    this.#halves[AVAIL_OUT] = output.length;
  }

  #inflateBeside(): Promise<number> {
    return new Promise((resolve, reject) => {
      const done: Done = (error, result) => (error ? reject(error) : resolve(result));
      this.#functions.inflate.async(this.#address, NO_FLUSH, done);
    });
  }

  /** Whether another member follows the one that has ended, as node and gzip(1) see it. */
  #isAtNext(result: number): boolean {
    return result === STREAM_END && this.hasInput && this.rest[0] !== 0;
  }

  #begins(): boolean {
    return this.#functions.reset(this.#address) === OK;
  }

  #unpacked(result: number): number {
    this.#isWhole = result === STREAM_END;
    if (result !== OK && result !== STREAM_END && result !== BUF_ERROR) throw new Error(this.#message());
    return this.#output.length - (this.#halves[AVAIL_OUT] ?? 0);
  }

  #message(): string {
    const message = this.#words[MESSAGE] ?? 0n;
    return message === 0n ? "Zlib error" : koffi.decode.string(message);
  }
}

const found = new Map<(prototype: string) => unknown, ZlibFunctions | null>();

function functionsOf(find: (prototype: string) => unknown): ZlibFunctions | null {
  const known = found.get(find);
  if (known !== undefined) return known;
  const functions = zlibFunctions(find);
  const right = functions !== null && GzipStream.isRight(functions) ? functions : null;
  found.set(find, right);
  return right;
}

function zlibFunctions(find: (prototype: string) => unknown): ZlibFunctions | null {
  try {
    return {
      version: find("const char *zlibVersion()") as ZlibFunctions["version"],
      init: find(
        "int inflateInit2_(uintptr_t stream, int window_bits, const char *version, int size)",
      ) as ZlibFunctions["init"],
      inflate: find("int inflate(uintptr_t stream, int flush)") as ZlibFunctions["inflate"],
      reset: find("int inflateReset(uintptr_t stream)") as ZlibFunctions["reset"],
      end: find("int inflateEnd(uintptr_t stream)") as ZlibFunctions["end"],
    };
  } catch {
    return null;
  }
}
