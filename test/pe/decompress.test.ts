import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SealError } from "../../src/errors.ts";
import { decompressKernel, zbootPayload } from "../../src/pe/decompress.ts";
import { packer } from "../support/packers.ts";
import { vector } from "../support/vectors.ts";
import { zboot } from "../support/zboot.ts";

const KERNEL = vector("uki/inputs/kernel-aa64");

describe("decompressKernel", () => {
  it("leaves a PE image alone", () => expect(decompressKernel(KERNEL, "k")).toBe(KERNEL));
  it("unpacks gzip and zstd", () => {
    expect(Buffer.from(decompressKernel(gzipSync(KERNEL), "k"))).toEqual(KERNEL);
    expect(Buffer.from(decompressKernel(zstdCompressSync(KERNEL), "k"))).toEqual(KERNEL);
  });

  it.each([
    ["lz4", ["-qc"]],
    ["lz4", ["-lqc"]],
    ["xz", ["-c", "--check=crc32"]],
    ["xz", ["-c", "--format=lzma"]],
    ["bzip2", ["-c"]],
  ])("unpacks what %s %j packs", (program, args) => {
    const pack = packer(program, ...args);
    if (pack === null) return;
    expect(Buffer.from(decompressKernel(pack(KERNEL), "k"))).toEqual(KERNEL);
    expect(() => decompressKernel(pack(KERNEL).subarray(0, 300), "k")).toThrow(SealError);
  });

  for (const [name, magic] of Object.entries({ lzo: "894c5a4f" })) {
    it(`refuses ${name} and says what to do`, () => {
      const bytes = Buffer.concat([Buffer.from(magic, "hex"), Buffer.alloc(64)]);
      expect(() => decompressKernel(bytes, "vmlinuz")).toThrow(
        `vmlinuz: the kernel is compressed with ${name}: decompress it first`,
      );
    });
  }

  it("refuses damaged data with an input error, wherever it is damaged", () => {
    const packed = gzipSync(KERNEL);
    fc.assert(
      fc.property(fc.integer({ min: 2, max: packed.length - 1 }), fc.nat(255), (at, value) => {
        const bytes = Buffer.from(packed);
        bytes[at] = value;
        try {
          decompressKernel(bytes, "k");
        } catch (error) {
          expect(error).toMatchObject({ code: "input" });
        }
      }),
    );
    expect(() => decompressKernel(packed.subarray(0, 100), "k")).toThrow(SealError);
  });
});

describe("zbootPayload", () => {
  it("unpacks what the image would unpack at boot", () => {
    expect(zbootPayload(zboot("gzip", gzipSync(KERNEL)), "k")).toEqual(KERNEL);
    expect(zbootPayload(zboot("zstd", zstdCompressSync(KERNEL)), "k")).toEqual(KERNEL);
    const [lz4, lzma] = [packer("lz4", "-lqc"), packer("xz", "-c", "--format=lzma")];
    if (lz4 !== null) expect(Buffer.from(zbootPayload(zboot("lz4", lz4(KERNEL)), "k") ?? [])).toEqual(KERNEL);
    if (lzma !== null) expect(Buffer.from(zbootPayload(zboot("lzma", lzma(KERNEL)), "k") ?? [])).toEqual(KERNEL);
  });
  it("is null for other images and other compressions", () => {
    expect(zbootPayload(KERNEL, "k")).toBeNull();
    expect(zbootPayload(zboot("lzo", KERNEL), "k")).toBeNull();
    expect(zbootPayload(zboot("xzkern", KERNEL), "k")).toBeNull();
    expect(zbootPayload(new Uint8Array(8), "k")).toBeNull();
  });
  it("refuses a payload outside the file", () => {
    const image = Buffer.from(zboot("gzip", gzipSync(KERNEL)));
    image.writeUInt32LE(0xffff_fff0, 12);
    expect(() => zbootPayload(image, "vmlinuz")).toThrow(/vmlinuz: truncated or corrupt: zboot payload/);
  });
});
