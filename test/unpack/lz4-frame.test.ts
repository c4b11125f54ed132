/** Frames of LZ4 as the program lz4 writes them by default, which Linux does not unpack but kernels are packed with. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SealError } from "../../src/errors.ts";
import { unpackLz4Frame } from "../../src/unpack/lz4.ts";
import { unpackWhole } from "../../src/unpack/output.ts";
import { xxh32 } from "../../src/xxh32.ts";
import { packer } from "../support/packers.ts";

const SAMPLE = Buffer.concat([
  readFileSync(process.execPath).subarray(0, 300_000),
  Buffer.alloc(70_000, "abc"),
  Buffer.alloc(3000),
]);
const LIMIT = 1 << 24;

/** Where the result is an error of seal, its message. */
function unpacked(bytes: Uint8Array, limit = LIMIT): Buffer | string {
  try {
    return Buffer.from(unpackWhole(unpackLz4Frame, bytes, limit, "x").bytes);
  } catch (error) {
    if (error instanceof SealError && error.code === "input") return error.message;
    throw error;
  }
}

/** A frame of 64 KiB blocks without checksums but the header's. */
function frame(flags: number, ...rest: readonly number[]): Buffer {
  const descriptor = Uint8Array.of(flags, 0x40);
  return Buffer.from([4, 0x22, 0x4d, 0x18, ...descriptor, (xxh32(descriptor, 0) >>> 8) & 0xff, ...rest]);
}

describe.each([[[]], [["-9"]], [["-B4", "-BD"]], [["-B4", "-BI", "-BX"]], [["--content-size"]], [["--no-frame-crc"]]])(
  "lz4 %j",
  (args) => {
    const pack = packer("lz4", "-qc", ...args);
    const whole = pack?.(SAMPLE) ?? Buffer.alloc(0);

    it.skipIf(pack === null)("is unpacked, to its end", () => {
      expect(unpacked(whole)).toEqual(SAMPLE);
      const followed = Buffer.concat([whole, Buffer.from("more")]);
      expect(unpackWhole(unpackLz4Frame, followed, LIMIT, "x").consumed).toBe(whole.length);
      expect(unpacked(pack?.(Buffer.alloc(0)) ?? whole)).toEqual(Buffer.alloc(0));
    });

    it.skipIf(pack === null)("is refused when it is cut, damaged or too large", () => {
      for (let end = 0; end < whole.length; end += 9973) expect(unpacked(whole.subarray(0, end))).toMatch(/truncated/);
      expect(unpacked(whole, 1 << 16)).toMatch(/unpacks to more than/);
      const change = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
      fc.assert(
        fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
          const bytes = Buffer.from(whole);
          for (const [at, value] of changes) bytes[at] = value;
          const result = unpacked(bytes);
          const isSummed = !args.includes("--no-frame-crc") && bytes.subarray(0, 7).equals(whole.subarray(0, 7));
          if (isSummed && typeof result !== "string") expect(result).toEqual(SAMPLE);
        }),
        { numRuns: 40 },
      );
    });
  },
);

it.each<[string, Buffer, RegExp]>([
  ["a wrong version", frame(0x80), /damaged/],
  ["a dictionary", frame(0x61, 0, 0, 0, 0), /needs a dictionary/],
  ["a wrong checksum of its header", Buffer.from([4, 0x22, 0x4d, 0x18, 0x60, 0x40, 0]), /damaged/],
  ["no end", frame(0x60), /truncated/],
  [
    "a block larger than it says blocks are",
    frame(0x60, 1, 0, 1, 0x80, ...new Uint8Array(65_537), 0, 0, 0, 0),
    /damaged/,
  ],
  ["a match in front of all", frame(0x40, 5, 0, 0, 0, 0x10, 65, 2, 0, 0, 0, 0, 0, 0), /damaged/],
  [
    "a match into a block that stands alone",
    frame(0x60, 2, 0, 0, 0x80, 65, 65, 4, 0, 0, 0, 0x10, 65, 3, 0, 0, 0, 0, 0),
    /damaged/,
  ],
])("refuses a frame with %s", (_, bytes, reason) => {
  expect(unpacked(bytes)).toMatch(reason);
});
