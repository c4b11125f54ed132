import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CpioReader } from "../../src/boot/cpio.ts";
import { type Initramfs, type KeptContents, readInitramfs } from "../../src/boot/initramfs.ts";
import { latin1, utf8 } from "../../src/bytes.ts";
import { StoredBytes } from "../../src/chunks.ts";
import { SealError } from "../../src/errors.ts";
import { cpioArchive, cpioEntry, cpioOf, SYMLINK } from "../support/cpio.ts";
import { describeWith, realRootfs } from "../support/peers.ts";

const MICROCODE = cpioOf({ kernel: null, "kernel/x86/microcode/GenuineIntel.bin": "microcode" });
const MAIN = cpioOf({ "./init": "#!/bin/sh\n", "usr/bin/x": "program" });

const read = (...parts: readonly Uint8Array[]) => readInitramfs([Buffer.concat(parts)], "initrd");
const texts = ({ files }: Initramfs) =>
  Object.fromEntries([...files].map(([path, { content }]) => [path, Buffer.from(content).toString()]));

async function failure(...parts: readonly Uint8Array[]): Promise<string> {
  const error = await read(...parts).then(
    () => new Error("no error"),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof SealError)) throw error;
  expect(error).toMatchObject({ code: "input", message: expect.stringMatching(/^initrd: [^\n]+$/) });
  return error.message;
}

describe("readInitramfs", () => {
  it("reads archives one after the other, plain and compressed, with zeros between them", async () => {
    const gzip = gzipSync(MAIN);
    const zstd = zstdCompressSync(cpioOf({ "usr/bin/x": "newer", late: "" }));
    const padding = Buffer.alloc(-(MICROCODE.length + 512 + gzip.length) & 3);
    const initramfs = await read(MICROCODE, Buffer.alloc(512), gzip, padding, MAIN, Buffer.alloc(3), zstd);
    const at = [0, MICROCODE.length + 512];
    expect(initramfs).toMatchObject({
      unreadable: null,
      archives: [
        { compression: "none", offset: at[0], size: MICROCODE.length, unpackedSize: MICROCODE.length, entries: 2 },
        { compression: "gzip", offset: at[1], size: gzip.length, unpackedSize: MAIN.length, entries: 2 },
        { compression: "none", entries: 2 },
        { compression: "zstd", size: zstd.length, entries: 2 },
      ],
    });
    expect(texts(initramfs)).toEqual({
      kernel: "",
      "kernel/x86/microcode/GenuineIntel.bin": "microcode",
      init: "#!/bin/sh\n",
      "usr/bin/x": "newer",
      late: "",
    });
  });

  it("reads a file that is not in memory in pieces, each byte once", async () => {
    const content = Buffer.alloc(3 << 20, "x");
    const plain = cpioOf({ a: "content", b: content, c: "" });
    const file = Buffer.concat([plain, Buffer.alloc(-plain.length & 3), gzipSync(cpioOf({ d: content, e: "late" }))]);
    const reads: number[] = [];
    const stored = new StoredBytes((into, offset) => {
      reads.push(into.length);
      file.copy(into, 0, offset, offset + into.length);
    }, file.length);
    const kept: KeptContents = { wants: (_, __, size) => size < 10, keeps: () => true };
    const initramfs = await readInitramfs(stored, "initrd", kept);
    expect(initramfs).toEqual(await readInitramfs([file], "initrd", kept));
    expect(initramfs).toEqual(await readInitramfs([file.subarray(0, 7), file.subarray(7)], "initrd", kept));
    expect(texts(initramfs)).toEqual({ a: "content", b: "", c: "", d: "", e: "late" });
    expect(Math.max(...reads)).toBeLessThanOrEqual(1 << 18);
    expect(reads.reduce((sum, length) => sum + length, 0)).toBeLessThan(1.2 * file.length);
  });

  it("reads several archives in one compressed stream, and the content of hardlinks", async () => {
    const linked = cpioArchive([
      { name: "a", inode: 7, links: 3 },
      { name: "b", inode: 7, links: 3, content: Buffer.from("content") },
      { name: "c", inode: 7, links: 3 },
      { name: "l", mode: SYMLINK, content: Buffer.from("a") },
    ]);
    const other = cpioArchive([{ name: "d", inode: 7, links: 2 }]);
    expect(texts(await read(gzipSync(Buffer.concat([linked, Buffer.alloc(8), other]))))).toEqual({
      ...{ a: "content", b: "content", c: "content", l: "a", d: "" },
    });
  });

  it("keeps the contents that are asked for, under all names of a file", async () => {
    const content = Buffer.from("content");
    const linked = [
      { name: "wanted", inode: 7, links: 3 },
      { name: "b", inode: 7, links: 3, content },
      { name: "also wanted", inode: 7, links: 3 },
    ];
    const archive = cpioArchive([...linked, { name: "c", content }, { name: "wanted too", content: utf8("other") }]);
    const kept: KeptContents = {
      wants: (path) => path.includes("wanted"),
      keeps: (_, bytes) => latin1(bytes) === "content",
    };
    for (const packed of [archive, gzipSync(archive)]) {
      const { files } = await readInitramfs([packed], "initrd", kept);
      const found = [...files].map(([path, { size, content: bytes }]) => [path, size, latin1(bytes)]);
      expect(Object.fromEntries(found.map(([path, ...rest]) => [path, rest]))).toEqual({
        ...{ wanted: [7, "content"], b: [7, ""], "also wanted": [7, "content"], c: [7, ""], "wanted too": [5, ""] },
      });
    }
  });

  it("reads entries that come in parts of any size", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(200), { maxLength: 20 }), (sizes) => {
        const found: string[] = [];
        const reader = new CpioReader("initrd", {
          wants: () => true,
          entry: ({ name }, content) => found.push(`${latin1(name)}=${latin1(content ?? utf8("?"))}`),
        });
        let at = 0;
        for (const size of [...sizes, MAIN.length]) at += reader.write(MAIN.subarray(at, at + size));
        expect({ at, ended: reader.ended }).toEqual({ at: MAIN.length, ended: true });
        expect(found).toEqual(["./init=#!/bin/sh\n", "usr/bin/x=program"]);
      }),
    );
  });

  it("goes on behind entries without an end marker with zeros or another archive", async () => {
    const entry = cpioEntry({ name: "x", content: Buffer.from("1") });
    for (const packed of [
      [entry, Buffer.alloc(8), MAIN],
      [entry, gzipSync(MAIN)],
      [gzipSync(Buffer.concat([entry, Buffer.alloc(8), MAIN]))],
    ]) {
      expect(Object.keys(texts(await read(...packed))).sort()).toEqual(["init", "usr/bin/x", "x"]);
    }
  });

  it("checks checksums where there are any", async () => {
    const content = Buffer.from([1, 2, 250]);
    expect(texts(await read(cpioArchive([{ name: "x", content, sum: 253 }])))).toHaveProperty("x");
    expect(await failure(cpioArchive([{ name: "x", content, sum: 254 }]))).toMatch(/checksum of x is wrong/);
  });

  it("takes archives without an end marker, as Linux does", async () => {
    const entries = Buffer.concat([cpioEntry({ name: "x", content: Buffer.from("1") }), cpioEntry({ name: "y" })]);
    expect(texts(await read(entries))).toEqual({ x: "1", y: "" });
    expect(texts(await read(gzipSync(entries)))).toEqual({ x: "1", y: "" });
    expect(await failure(gzipSync(entries.subarray(0, -20)))).toMatch(/truncated/);
  });

  it("says where it can't go on", async () => {
    expect(await failure(Buffer.from("070707"), Buffer.alloc(200))).toMatch(
      /no cpio archive of the format newc at offset 0/,
    );
    expect(await failure(MAIN, Buffer.from("junk"))).toMatch(new RegExp(`offset ${MAIN.length} \\(6a756e6b\\)`));
    expect(await failure(Buffer.alloc(2), MAIN)).toMatch(/offset 2 \(303730373031\)/);
    expect(await failure(MAIN.subarray(0, 60))).toMatch(/truncated/);
    expect(await failure(Buffer.from(MAIN.toString("latin1").replace("070701", "07070g"), "latin1"))).toMatch(/newc/);
    expect(await failure(gzipSync(Buffer.from("junk")))).toMatch(/truncated|newc/);
    expect(await failure(cpioEntry({ name: "x".repeat(5000) }))).toMatch(/name of 5001 bytes/);
  });

  it("stops at what seal can't unpack, and says what it was", async () => {
    const initramfs = await read(MICROCODE, Buffer.from("894c5a4f", "hex"));
    expect(initramfs.unreadable).toEqual({ compression: "lzo", offset: MICROCODE.length });
    expect(initramfs.archives).toHaveLength(1);
  });

  it("refuses bombs", async () => {
    const big = gzipSync(Buffer.alloc(1 << 20));
    expect((await read(big)).files.size).toBe(0);
    const entries = Buffer.concat(Array.from({ length: 1000 }, () => cpioEntry({ name: "x" })));
    expect(await failure(...Array.from({ length: 501 }, () => entries))).toMatch(/more than 500000 files/);
    // An empty frame of lz4, over and over: each is little work, and there is room for millions.
    const empty = Buffer.from([0x02, 0x21, 0x4c, 0x18, 0, 0, 0, 0]);
    expect((await read(...Array.from({ length: 1000 }, () => empty))).archives).toHaveLength(1000);
    expect(await failure(...Array.from({ length: 1001 }, () => empty))).toMatch(/more than 1000 archives/);
  });

  it("survives any damage", async () => {
    const whole = Buffer.concat([MICROCODE, gzipSync(MAIN), Buffer.alloc(2), MAIN]);
    const change = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length), fc.array(change, { maxLength: 4 }), async (end, changes) => {
        const bytes = Buffer.from(whole);
        for (const [at, value] of changes) bytes[at] = value;
        await readInitramfs([bytes.subarray(0, end)], "initrd").catch((error: unknown) => {
          if (!(error instanceof SealError)) throw error;
        });
      }),
      { numRuns: 300 },
    );
  });

  it("gives back what was put in", async () => {
    const name = fc.string({ unit: fc.constantFrom("a", "b", "\xff", "é", " "), minLength: 1, maxLength: 9 });
    await fc.assert(
      fc.asyncProperty(fc.dictionary(name, fc.uint8Array({ maxLength: 40 })), async (files) => {
        const { files: found } = await read(MICROCODE, gzipSync(cpioOf(files)));
        for (const [path, content] of Object.entries(files))
          expect(Buffer.from(found.get(path)?.content ?? [0])).toEqual(Buffer.from(content));
      }),
      { numRuns: 60 },
    );
  });
});

describeWith(["rootfs"], "readInitramfs of a distribution's", () => {
  it("reads the microcode or firmware before it, and the compressed rest", async () => {
    const modules = join(realRootfs() ?? "", "usr/lib/modules");
    const [version = ""] = readdirSync(modules);
    const { archives, files, unreadable } = await read(readFileSync(join(modules, version, "initramfs.img")));
    expect(unreadable).toBeNull();
    expect(archives.map(({ compression }) => compression)).toEqual(["none", "zstd"]);
    expect(files.get("init")?.mode).toBe(0o100755);
    expect([...files.keys()].some((path) => path.includes(`lib/modules/${version}/kernel`))).toBe(true);
  });
});
