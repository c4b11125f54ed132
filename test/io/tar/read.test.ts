import fc from "fast-check";
import { pack } from "tar-stream";
import { describe, expect, it } from "vitest";
import { displayBytes } from "../../../src/bytes.ts";
import { SealError } from "../../../src/errors.ts";
import type { TarEntry } from "../../../src/io/tar/read.ts";
import { archiveRootfs, collect, readArchive } from "../../support/archive.ts";
import { tarPadded, tarPax } from "../../support/tar.ts";
import { vector } from "../../support/vectors.ts";

const OPTIONS = { subject: "layer.tar", negativeTimes: false };
const END = Buffer.alloc(1024);

interface Fields {
  readonly name?: string;
  readonly type?: string;
  readonly size?: number;
  readonly link?: string;
  readonly mtime?: string;
  readonly magic?: string;
  readonly prefix?: string;
  readonly device?: readonly [number, number];
}

/** One header block; fields are latin1 text. */
function header({
  name = "f",
  type = "0",
  size = 0,
  link = "",
  mtime = "0",
  magic = "ustar\x0000",
  prefix = "",
  device,
}: Fields) {
  const block = Buffer.alloc(512);
  const put = (text: string, offset: number) => block.write(text, offset, "latin1");
  put(name, 0);
  put("0000644\0", 100);
  put("0000001\0", 108);
  put("0000002\0", 116);
  put(size.toString(8).padStart(11, "0"), 124);
  put(mtime, 136);
  put(type, 156);
  put(link, 157);
  put(magic, 257);
  if (device) {
    put(device[0].toString(8).padStart(7, "0"), 329);
    put(device[1].toString(8).padStart(7, "0"), 337);
  }
  put(prefix, 345);
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  put(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

async function entriesOf(
  parts: readonly Uint8Array[],
  { size, negativeTimes = false }: { size?: number; negativeTimes?: boolean } = {},
): Promise<{ entry: TarEntry; content: string }[]> {
  return readArchive(Buffer.concat(parts), { ...OPTIONS, negativeTimes }, size).map(({ entry, content }) => ({
    entry,
    content: Buffer.from(content).toString("latin1"),
  }));
}

async function firstOf(...parts: Uint8Array[]): Promise<TarEntry> {
  const [first] = await entriesOf([...parts, END]);
  if (first === undefined) throw new Error("no entry");
  return first.entry;
}

describe("TarReader", () => {
  it("keeps names, link targets and xattrs as bytes", async () => {
    const bytes = "\xff\x80=\n\x01";
    const entry = await firstOf(
      tarPax({
        path: `dir/${bytes}`,
        linkpath: bytes,
        "SCHILY.xattr.user.b": bytes,
        "SCHILY.xattr.security.a": "\0\x02",
      }),
      header({ type: "2" }),
    );
    expect(Buffer.from(entry.path).toString("latin1")).toBe(`dir/${bytes}`);
    expect(entry.item).toMatchObject({ kind: "symlink", target: Buffer.from(bytes, "latin1") });
    expect(entry.metadata.xattrs.map(({ name }) => displayBytes(name))).toEqual(["security.a", "user.b"]);
    expect(Buffer.from(entry.metadata.xattrs[1]?.value ?? []).toString("latin1")).toBe(bytes);
  });

  it.each([
    ["1234567890.123456789", 1234567890n, 123456789],
    ["5.5", 5n, 500000000],
    ["5.1234567899", 5n, 123456789],
    ["5", 5n, 0],
    ["5.x", 5n, 0],
  ])("reads the PAX time %s", async (mtime, mtimeSec, mtimeNsec) => {
    expect((await firstOf(tarPax({ mtime }), header({ mtime: "7" }))).metadata).toMatchObject({ mtimeSec, mtimeNsec });
  });

  it("refuses times before 1970 in layers and reads them elsewhere", async () => {
    const parts = [tarPax({ mtime: "-1.25" }), header({}), END];
    await expect(entriesOf(parts)).rejects.toThrow("before 1970");
    const [first] = await entriesOf(parts, { negativeTimes: true });
    expect(first?.entry.metadata).toMatchObject({ mtimeSec: -2n, mtimeNsec: 750000000 });
  });

  it("takes owner and size from PAX, and the numbers of the header without it", async () => {
    expect((await firstOf(header({ mtime: "17" }))).metadata).toMatchObject({
      mode: 0o644,
      uid: 1,
      gid: 2,
      mtimeSec: 15n,
    });
    const [first] = await entriesOf([
      tarPax({ uid: "3000000000", gid: "4", size: "3" }),
      header({ size: 0 }),
      tarPadded(Buffer.from("abc")),
      END,
    ]);
    expect(first).toMatchObject({ content: "abc", entry: { metadata: { uid: 3000000000, gid: 4 } } });
  });

  it("ignores global headers and libarchive's xattrs", async () => {
    const entry = await firstOf(
      tarPax({ path: "global", uid: "9" }, "g"),
      tarPax({ "LIBARCHIVE.xattr.user.x": "eA==" }),
      header({}),
    );
    expect(entry).toMatchObject({ path: Buffer.from("f"), metadata: { uid: 1, xattrs: [] } });
  });

  it("reads GNU long names and the ustar prefix", async () => {
    const long = "n".repeat(300);
    const gnu = "ustar  \0";
    const data = Buffer.from(`${long}\0`);
    const longName = [header({ name: "././@LongLink", type: "L", size: data.length, magic: gnu }), tarPadded(data)];
    const longLink = [header({ name: "././@LongLink", type: "K", size: data.length, magic: gnu }), tarPadded(data)];
    const entry = await firstOf(...longLink, ...longName, header({ type: "1", magic: gnu }));
    expect(displayBytes(entry.path)).toBe(long);
    expect(entry.item).toEqual({ kind: "hardlink", target: Buffer.from(long) });
    expect(displayBytes((await firstOf(header({ prefix: "usr/lib" }))).path)).toBe("usr/lib/f");
  });

  it("reads devices as the kernel numbers them", async () => {
    expect((await firstOf(header({ type: "4", device: [259, 300] }))).item).toEqual({ kind: "block", rdev: 0x11032c });
  });

  it("passes over a single zero block and what follows the end", async () => {
    expect(await entriesOf([Buffer.alloc(512), header({}), END, Buffer.from("anything")])).toHaveLength(1);
  });

  it("skips content of what has none", async () => {
    const archive = Buffer.concat([
      header({ size: 5 }),
      tarPadded(Buffer.from("abcde")),
      header({ name: "d", type: "5", size: 3 }),
      tarPadded(Buffer.from("abc")),
      header({ name: "last" }),
      END,
    ]);
    const entries = readArchive(archive, OPTIONS, 100);
    expect(entries.map(({ entry }) => displayBytes(entry.path))).toEqual(["f", "d", "last"]);
    expect(entries.map(({ content }) => content.length)).toEqual([5, 0, 0]);
  });

  it.each<[string, Uint8Array[], RegExp]>([
    ["no end", [header({})], /truncated/],
    ["an empty file", [], /truncated/],
    ["one zero block only", [Buffer.alloc(512)], /truncated/],
    ["content that is cut off", [header({ size: 600 }), Buffer.alloc(512)], /truncated/],
    ["an extended header without entry", [tarPax({ path: "x" }), END], /without its entry/],
    ["two PAX headers", [tarPax({ path: "x" }), tarPax({ path: "y" }), header({}), END], /twice/],
    [
      "a global header behind an extended one",
      [tarPax({ path: "x" }), tarPax({ uid: "9" }, "g"), header({}), END],
      /global header is between/,
    ],
    ["a wrong checksum", [header({}).fill(0x41, 0, 4), END], /checksum/],
    ["an unknown type", [header({ type: "V" }), END], /type "V"/],
    ["a sparse file", [header({ type: "S", magic: "ustar  \0" }), END], /sparse/],
    ["a sparse PAX file", [tarPax({ "GNU.sparse.major": "1" }), header({}), END], /sparse/],
    ["a PAX header in a V7 archive", [header({ type: "x", magic: "" }), END], /type "x"/],
    [
      "a malformed record",
      [header({ type: "x", size: 12 }), tarPadded(Buffer.from("99 path=abc\n")), header({}), END],
      /malformed/,
    ],
    ["an owner that is not a number", [tarPax({ uid: "abc" }), header({}), END], /not a number/],
    ["an owner beyond 32 bits", [tarPax({ uid: "4294967296" }), header({}), END], /32 bits/],
    ["a symlink to nothing", [header({ type: "2" }), END], /target/],
    ["a device without a number", [header({ type: "3", magic: "" }), END], /without a number/],
    ["a PAX header over 1 MiB", [header({ type: "x", size: 2 ** 21 }), Buffer.alloc(2 ** 21), END], /1 MiB/],
    ["an impossible size", [tarPax({ size: "18446744073709551615" }), header({}), END], /impossible/],
    ["no name", [header({ name: "" }), END], /empty name/],
    ["something else", [Buffer.alloc(2048, 0x41)], /not a number|checksum/],
  ])("refuses an archive with %s", async (_, parts, message) => {
    const reading = entriesOf(parts);
    await expect(reading).rejects.toThrow(SealError);
    await expect(reading).rejects.toThrow(message);
  });

  it("gives the same whatever the chunks are", async () => {
    const archive = vector("composefs/random-1.tar.gz");
    const whole = await entriesOf([archive], { negativeTimes: true });
    expect(await entriesOf([archive], { negativeTimes: true, size: 100 })).toEqual(whole);
    expect(await entriesOf([archive], { negativeTimes: true, size: 4099 })).toEqual(whole);
  });

  it("reads what tar-stream writes", async () => {
    const archive = pack();
    archive.entry({ name: `${"a/".repeat(80)}f`, size: 3, mtime: new Date(5000) }, "abc");
    archive.finalize();
    const [first] = await entriesOf([await collect(archive as AsyncIterable<Uint8Array>)]);
    expect(first).toMatchObject({ content: "abc", entry: { metadata: { mtimeSec: 5n } } });
  });

  it("never fails in another way than with an input error, however the archive is damaged", async () => {
    const archive = vector("composefs/hardlinks.tar.gz");
    await fc.assert(
      fc.asyncProperty(fc.nat(archive.length - 1), fc.nat(255), fc.boolean(), async (at, value, cut) => {
        const damaged = cut ? archive.subarray(0, at) : Uint8Array.from(archive);
        if (!cut) damaged[at] = value;
        await archiveRootfs([damaged], "sha256").catch((error: unknown) => expect(error).toBeInstanceOf(SealError));
      }),
      { numRuns: 60 },
    );
  });
});
