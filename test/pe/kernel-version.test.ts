import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isLinuxImage, kernelVersion } from "../../src/pe/kernel-version.ts";
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

  it("finds any version where it is not for ukify", () => {
    const any = (bytes: Uint8Array) => kernelVersion(bytes, "k", "any");
    expect(any(bzImage("6.1.0-Custom (a@b) #1"))).toBe("6.1.0-Custom");
    expect(any(bzImage("10.0.1 (a@b)"))).toBe("10.0.1");
    expect(any(Buffer.from("Linux version %s (%s) Linux version 10.1-RC (a@b)"))).toBe("10.1-RC");
    expect(any(bzImage("6.1\x1b[2J (a@b) #1"))).toBeNull();
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

it("knows kernels of all architectures by their headers", () => {
  const magics: [number, string][] = [
    [0x38, "ARM\x64"],
    [0x38, "RSC\x05"],
    [0x38, "\xcd\x23\x82\x81"],
    [0x24, "\x18\x28\x6f\x01"],
  ];
  for (const [offset, magic] of magics) {
    const head = Buffer.alloc(0x40);
    head.write(magic, offset, "latin1");
    expect(isLinuxImage(head)).toBe(true);
    expect(isLinuxImage(head.subarray(0, offset + 3))).toBe(false);
  }
  expect(isLinuxImage(bzImage("6.1 (a@b) #1"))).toBe(true);
  expect(isLinuxImage(zboot("gzip", new Uint8Array()))).toBe(true);
  expect(isLinuxImage(vector("uki/inputs/stub-plain"))).toBe(false);
  expect(isLinuxImage(new Uint8Array())).toBe(false);
});
