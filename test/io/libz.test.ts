import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createGunzip, deflateSync, gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { findInNode } from "../../src/io/libcrypto.ts";
import { GzipStream } from "../../src/io/libz.ts";

/** Several pieces of input and output, some of which can't be made smaller. */
const SAMPLE = Buffer.concat([randomBytes(300_001), Buffer.alloc(1_500_000, "abc"), randomBytes(65_537)]);
const PACKED = gzipSync(SAMPLE);
const MANY = Buffer.concat([PACKED, ...Array.from({ length: 300 }, (_, at) => gzipSync(SAMPLE.subarray(at, 2 * at)))]);

interface Sizes {
  readonly piece: number;
  readonly memory: number;
  readonly beside: boolean;
}

function opened(): GzipStream {
  const stream = GzipStream.open();
  if (stream === null) throw new Error("node has no zlib");
  return stream;
}

/** What comes out, up to the end of the stream, and the error that ends it. */
async function unpack(packed: Uint8Array, { piece, memory, beside }: Sizes): Promise<[Buffer, string]> {
  const stream = opened();
  const output = new Uint8Array(new ArrayBuffer(memory));
  const parts: Uint8Array[] = [];
  let isSmall = false;
  try {
    for (let at = 0; at < packed.length && !stream.hasEnded; at += piece) {
      stream.give(packed.subarray(at, at + piece));
      for (let length = memory; length === memory; ) {
        length = beside && !isSmall ? await stream.unpackBeside(output) : stream.unpack(output);
        parts.push(output.slice(0, length));
        // Where it has stopped for them there may be more.
        if (stream.hasSmallMembers) length = memory;
        isSmall ||= stream.hasSmallMembers;
      }
    }
    if (!stream.hasEnded) stream.finish();
    return [Buffer.concat(parts), "none"];
  } catch (error) {
    return [Buffer.concat(parts), error instanceof Error ? error.message : String(error)];
  } finally {
    stream.free();
  }
}

/** The same of node's stream, which is given pieces, too. */
async function unpackByNode(packed: Uint8Array, piece: number): Promise<[Buffer, string]> {
  const stream = createGunzip();
  const parts: Uint8Array[] = [];
  stream.on("data", (part: Uint8Array) => parts.push(part));
  const ended = once(stream, "end").then(
    () => "none",
    (error: Error) => error.message,
  );
  for (let at = 0; at < packed.length; at += piece) stream.write(packed.subarray(at, at + piece));
  stream.end();
  const error = await ended;
  return [Buffer.concat(parts), error];
}

const flipped = (at: number) => {
  const bytes = Buffer.from(PACKED);
  bytes[at] = (bytes[at] ?? 0) ^ 0x40;
  return bytes;
};

const CASES: readonly (readonly [string, Uint8Array])[] = [
  ["one member", PACKED],
  ["many members", MANY],
  ["an empty member", gzipSync("")],
  ["empty members", Buffer.concat([gzipSync(""), gzipSync(""), PACKED, gzipSync("")])],
  ["zeros after it", Buffer.concat([PACKED, Buffer.alloc(1000)])],
  ["anything after zeros", Buffer.concat([PACKED, Buffer.alloc(1), randomBytes(1000)])],
  ["other bytes after it", Buffer.concat([PACKED, Buffer.from("something else")])],
  ["half a header after it", Buffer.concat([PACKED, PACKED.subarray(0, 5)])],
  ["no end", PACKED.subarray(0, -1)],
  ["no more than a header", PACKED.subarray(0, 12)],
  ["another end of its header", flipped(3)],
  ["another method", flipped(2)],
  ["damage in the middle", flipped(200_000)],
  ["another checksum", flipped(PACKED.length - 8)],
  ["another length", flipped(PACKED.length - 2)],
  ["no gzip at all", deflateSync(SAMPLE)],
];
const SIZES: readonly Sizes[] = [
  { piece: 1 << 20, memory: 1 << 20, beside: true },
  { piece: 1 << 16, memory: 1 << 20, beside: false },
  { piece: 77_777, memory: 65_536, beside: true },
];

describe("gzip by the zlib in node", () => {
  it.each(CASES)("with %s comes out as by node's stream, with the same error", async (_, packed) => {
    for (const sizes of SIZES) {
      const [bytes, error] = await unpack(packed, sizes);
      const [expected, why] = await unpackByNode(packed, sizes.piece);
      expect(error).toBe(why);
      // In front of damage each drops what it has not passed on.
      const length = why === "none" ? SAMPLE.length + MANY.length : Math.min(bytes.length, expected.length);
      expect(bytes.subarray(0, length).equals(expected.subarray(0, length))).toBe(true);
    }
  });

  it("comes out right from pieces of single bytes, at every place in front of the end", async () => {
    const packed = Buffer.concat([gzipSync("one, "), gzipSync("two"), Buffer.alloc(3)]);
    for (const beside of [false, true]) {
      const [bytes, error] = await unpack(packed, { piece: 1, memory: 100, beside });
      expect([bytes.toString(), error]).toEqual(["one, two", "none"]);
      for (let end = 1; end < packed.length - 3; end++) {
        const [, why] = await unpack(packed.subarray(0, end), { piece: 7, memory: 100, beside });
        expect(why).toBe(end === gzipSync("one, ").length ? "none" : "unexpected end of file");
      }
    }
  });

  it("is unpacked by several threads at the same time, while garbage is collected", async () => {
    const all = Array.from({ length: 8 }, () => unpack(MANY, { piece: 1 << 16, memory: 1 << 17, beside: true }));
    const garbage = Array.from({ length: 200 }, () => new Uint8Array(new ArrayBuffer(1 << 20)).fill(0xff));
    const [expected] = await unpackByNode(MANY, MANY.length);
    for (const [bytes, error] of await Promise.all(all)) {
      expect(error).toBe("none");
      expect(bytes.equals(expected)).toBe(true);
    }
    expect(garbage).toHaveLength(200);
  });

  it("gives none of its memory away while a thread uses it", async () => {
    const stream = opened();
    const output = new Uint8Array(new ArrayBuffer(1 << 20));
    stream.give(PACKED);
    const unpacking = stream.unpackBeside(output);
    await expect(stream.unpackBeside(output)).rejects.toThrow("zlib still uses the memory");
    expect(() => stream.unpack(output)).toThrow("zlib still uses the memory");
    expect(() => stream.give(PACKED)).toThrow("zlib has not read the piece before");
    expect(() => stream.free()).toThrow("zlib still uses the memory");
    expect(await unpacking).toBe(output.length);
    stream.free();
  });

  it("is left to node where it does not have the functions, or they do something else", () => {
    const missing = (prototype: string) => {
      throw new Error(`Cannot find function '${prototype}' in shared library`);
    };
    const without = (name: string, other: unknown) => (prototype: string) =>
      prototype.includes(name) ? other : findInNode(prototype);
    const tooLarge = () => -6;
    const lazy = Object.assign(() => 0, { async: () => {} });
    expect(GzipStream.open(missing)).toBeNull();
    expect(GzipStream.open(without("zlibVersion", () => null))).toBeNull();
    expect(GzipStream.open(without("inflateInit2_", tooLarge))).toBeNull();
    expect(GzipStream.open(without("int inflate(", lazy))).toBeNull();
    opened().free();
  });
});
