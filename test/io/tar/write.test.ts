import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { alignUp, latin1, utf8 } from "../../../src/bytes.ts";
import { concat } from "../../../src/chunks.ts";
import { BLOCK } from "../../../src/io/tar/header.ts";
import type { TarEntry } from "../../../src/io/tar/read.ts";
import { EntryHeaders } from "../../../src/io/tar/read-entry.ts";
import { TAR_END, tarEntry, tarPadding } from "../../../src/io/tar/write.ts";
import { contentSize, type Directory, type Leaf, type Metadata } from "../../../src/tree/node.ts";
import { arbitraryTree } from "../../support/arbitrary-tree.ts";
import { tempDir } from "../../support/temp.ts";

const METADATA: Metadata = { mode: 0o644, uid: 0, gid: 0, mtimeSec: 1_700_000_000n, mtimeNsec: 0, xattrs: [] };
const FIFO = { kind: "fifo" } as const;

function fifo(path: string, metadata: Partial<Metadata> = {}): TarEntry {
  return { path: Buffer.from(path, "latin1"), metadata: { ...METADATA, ...metadata }, item: FIFO };
}

/** What the reader makes of headers without contents. */
async function readBack(headers: readonly Uint8Array[], paxOwners: "count" | "ignored" = "count"): Promise<TarEntry[]> {
  const archive = concat(headers);
  const entries: TarEntry[] = [];
  const reader = new EntryHeaders({ subject: "layer.tar", negativeTimes: true, paxOwners });
  for (let position = 0; position < archive.length; ) {
    const { entry, size } = reader.block(archive.subarray(position, position + BLOCK));
    position += BLOCK;
    if (entry !== null) entries.push(entry);
    else {
      const padded = alignUp(size, BLOCK);
      reader.extension(archive.subarray(position, position + padded));
      position += padded;
    }
  }
  reader.end();
  return entries;
}

/** The entries of a tree, parents first; sockets and xattrs that no archive can hold are left out. */
function entriesOf(root: Directory): TarEntry[] {
  const entries: TarEntry[] = [];
  const places = new Map<Leaf, Uint8Array>();
  const metadataOf = ({ mode, uid, gid, mtimeSec, mtimeNsec, xattrs }: Metadata): Metadata => ({
    ...{ mode, uid, gid, mtimeSec, mtimeNsec },
    xattrs: xattrs.filter(({ name }) => !name.includes(0x3d)),
  });
  const visit = (path: Uint8Array, directory: Directory) => {
    entries.push({ path, metadata: metadataOf(directory), item: { kind: "directory" } });
    for (const { name, node } of directory.entries) {
      const child = path.length === 0 ? name : concat([path, utf8("/"), name]);
      if (node.kind === "directory") visit(child, node);
      else if (node.kind !== "socket")
        entries.push({ path: child, metadata: metadataOf(node), item: itemOf(node, child) });
    }
  };
  const itemOf = (node: Leaf, path: Uint8Array): TarEntry["item"] => {
    const target = places.get(node);
    if (target !== undefined) return { kind: "hardlink", target };
    places.set(node, path);
    if (node.kind === "regular") {
      // Readers take no larger file.
      const largest = BigInt(Number.MAX_SAFE_INTEGER);
      return { kind: "regular", content: contentSize(node) < largest ? contentSize(node) : largest };
    }
    if (node.kind === "symlink") return { kind: "symlink", target: node.target };
    return node.kind === "char" || node.kind === "block" ? { kind: node.kind, rdev: node.rdev } : FIFO;
  };
  visit(new Uint8Array(), root);
  return entries;
}

/** Bytes as text. Slashes at the end don't count, and `./` is the root. */
function comparable({ path, metadata, item }: TarEntry) {
  const name = latin1(path).replace(/\/$/, "");
  const xattrs = metadata.xattrs.map((xattr) => [latin1(xattr.name), latin1(xattr.value)]);
  const target = "target" in item ? { target: latin1(item.target) } : {};
  return { path: name === "." ? "" : name, metadata: { ...metadata, xattrs }, item: { ...item, ...target } };
}

describe("tarEntry", () => {
  it("is read back as it was, for whatever a tree holds", async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryTree(), async (root) => {
        const entries = entriesOf(root);
        const headers = entries.map((entry) => tarEntry(entry, "layer.tar"));
        for (const header of headers) expect(header.length % 512).toBe(0);
        expect((await readBack(headers)).map(comparable)).toEqual(entries.map(comparable));
      }),
      { numRuns: 100 },
    );
  });

  it.each([
    ["short", 512],
    ["n".repeat(100), 512],
    [`${"p".repeat(155)}/${"n".repeat(100)}`, 512],
    [`${"p".repeat(60)}/${"q".repeat(60)}/\xff\x80`, 512],
    ["n".repeat(101), 1536],
    [`${"p".repeat(156)}/n`, 1536],
    [`${"p".repeat(50)}/${"n".repeat(101)}`, 1536],
  ])("needs a PAX header only where a name does not fit: %s", async (path, bytes) => {
    const header = tarEntry(fifo(path), "layer.tar");
    expect(header.length).toBe(bytes);
    expect((await readBack([header])).map(({ path: found }) => latin1(found))).toEqual([path]);
  });

  it("names directories with a slash, and the root ./", () => {
    const name = (path: string) =>
      latin1(tarEntry({ path: utf8(path), metadata: METADATA, item: { kind: "directory" } }, "")).split("\0")[0];
    expect([name(""), name("usr"), name("usr/")]).toEqual(["./", "usr/", "usr/"]);
  });

  it("has numbers that need more than octal digits also where PAX is not looked at", async () => {
    const large = { uid: 0xffff_fffe, gid: 0x20_0000, mtimeSec: 1n << 33n };
    const [known] = await readBack([tarEntry(fifo("f", large), "")], "ignored");
    expect(known?.metadata).toMatchObject(large);
    const [early] = await readBack([tarEntry(fifo("f", { mtimeSec: -5n, mtimeNsec: 1 }), "")], "ignored");
    expect(early?.metadata).toMatchObject({ mtimeSec: -5n, mtimeNsec: 0 });
  });

  it.each([
    ["user.a=b", "y"],
    ["user.\xff", "y"],
  ])("refuses the xattr %s, whose name no archive can hold", (name, value) => {
    const xattrs = [{ name: Buffer.from(name, "latin1"), value: utf8(value) }];
    expect(() => tarEntry(fifo("etc/f", { xattrs }), "layer.tar")).toThrow(
      /^layer\.tar: etc\/f: an archive can't store/,
    );
  });

  it("refuses more metadata than readers take", () => {
    const xattrs = Array.from({ length: 17 }, (_, i) => ({ name: utf8(`user.${i}`), value: new Uint8Array(65_000) }));
    expect(() => tarEntry(fifo("etc/f", { xattrs }), "layer.tar")).toThrow("too large for an archive");
  });
});

describe("tarPadding", () => {
  it.each([
    [0, 0],
    [1, 511],
    [512, 0],
    [513n, 511],
    [(1n << 40n) + 511n, 1],
  ])("fills %s bytes up to whole blocks", (size, zeros) => {
    expect(tarPadding(size)).toEqual(new Uint8Array(zeros));
  });
});

describe.skipIf(!spawnSync("tar", ["--version"]).stdout?.includes("GNU tar"))("an archive", () => {
  it("is listed by GNU tar without a complaint, numbers and names as they were", () => {
    const metadata = { ...METADATA, uid: 0xffff_fffe, gid: 5 };
    const name = `${"p".repeat(160)}/\xff${"n".repeat(150)}`;
    const content = Buffer.from("hello");
    const path = Buffer.from(name, "latin1");
    const archive = join(tempDir(), "layer.tar");
    writeFileSync(
      archive,
      concat([
        tarEntry({ path: utf8("p".repeat(160)), metadata: METADATA, item: { kind: "directory" } }, archive),
        tarEntry({ path, metadata, item: { kind: "regular", content: 5n } }, archive),
        ...[content, tarPadding(5)],
        tarEntry({ path: utf8("hard"), metadata, item: { kind: "hardlink", target: path } }, archive),
        tarEntry({ path: utf8("soft"), metadata: METADATA, item: { kind: "symlink", target: path } }, archive),
        tarEntry({ path: utf8("dev"), metadata: METADATA, item: { kind: "char", rdev: 0x12345678 } }, archive),
        tarEntry(fifo("early", { mtimeSec: -2n }), archive),
        TAR_END,
      ]),
    );
    const options = ["--numeric-owner", "--full-time", "--utc", "--quoting-style=escape"];
    const { stdout, stderr, status } = spawnSync("tar", [...options, "-tvf", archive], { env: { LC_ALL: "C" } });
    expect([stderr.toString(), status]).toEqual(["", 0]);
    const shown = name.replace("\xff", "\\377");
    expect(
      stdout
        .toString()
        .trim()
        .split("\n")
        .map((line) => line.replace(/ +/g, " ")),
    ).toEqual([
      `drw-r--r-- 0/0 0 2023-11-14 22:13:20 ${"p".repeat(160)}/`,
      `-rw-r--r-- 4294967294/5 5 2023-11-14 22:13:20 ${shown}`,
      `hrw-r--r-- 4294967294/5 0 2023-11-14 22:13:20 hard link to ${shown}`,
      `lrw-r--r-- 0/0 0 2023-11-14 22:13:20 soft -> ${shown}`,
      "crw-r--r-- 0/0 1110,74616 2023-11-14 22:13:20 dev",
      "prw-r--r-- 0/0 0 1969-12-31 23:59:58 early",
    ]);
  });
});
