import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { kernelVersion } from "../../src/pe/kernel-version.ts";
import { vector } from "../support/vectors.ts";
import { zboot } from "../support/zboot.ts";

/** The start of a bzImage whose version string is `text`. */
function bzImage(text: string): Buffer {
  const bytes = Buffer.alloc(0x400);
  bytes.write("HdrS", 0x202);
  bytes.writeUInt16LE(0x100, 0x20e);
  bytes.write(`${text}\0`, 0x300);
  return bytes;
}

describe("kernelVersion", () => {
  it("reads the x86 boot header", () => {
    expect(kernelVersion(vector("uki/inputs/kernel"), "k")).toMatch(/^\d+\.\d+[a-z0-9._+-]*$/);
    const text = "6.12.107+deb13-amd64 (debian-kernel@lists.debian.org) #1 SMP PREEMPT_DYNAMIC";
    expect(kernelVersion(bzImage(text), "k")).toBe("6.12.107+deb13-amd64");
  });

  it("reads the banner of other kernels, also inside a zboot image", () => {
    const kernel = vector("uki/inputs/kernel-riscv64");
    const version = kernelVersion(kernel, "k");
    expect(version).toMatch(/^\d\./);
    expect(kernelVersion(zboot("gzip", gzipSync(kernel)), "k")).toBe(version);
    expect(kernelVersion(Buffer.from("..Linux version %s (%s)..Linux version 6.1.2-rc3+ (me@there) (gcc"), "k")).toBe(
      "6.1.2-rc3+",
    );
  });

  it("is null where ukify finds nothing either", () => {
    for (const text of ["6.1.0-Custom (a@b) #1", "6.1.0 (a@b)", "6.1.0 #1", ""]) {
      expect(kernelVersion(bzImage(text), "k")).toBeNull();
    }
    for (const text of [
      "Linux version 10.1 (a@b)",
      "Linux version 6.1(a@b)",
      "Linux version 6.1\n (a@b)",
      "Linux version ",
      "Linux version 6.1\x1b[2J (a@b)",
    ]) {
      expect(kernelVersion(Buffer.from(text), "k")).toBeNull();
    }
    expect(kernelVersion(new Uint8Array(), "k")).toBeNull();
  });

  it("survives a version pointer behind the end and any other bytes", () => {
    const bytes = bzImage("6.1 (a@b) #1");
    bytes.writeUInt16LE(0xffff, 0x20e);
    expect(kernelVersion(bytes, "k")).toBeNull();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 700 }), fc.nat(700), (random, length) => {
        const start = bzImage("6.1 (a@b) #1").subarray(0, length);
        expect([null, "6.1"]).toContain(kernelVersion(Buffer.concat([start, random]), "k"));
      }),
    );
  });
});
