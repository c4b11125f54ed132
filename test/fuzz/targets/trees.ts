/** Root filesystems: archives, images, dump files, and the labels of a policy. */
import { expect } from "vitest";
import { concat } from "../../../src/chunks.ts";
import { DIRENT_SIZE, DIRENT_TYPES } from "../../../src/composefs/format.ts";
import { readErofs } from "../../../src/composefs/reader.ts";
import { verityDigest } from "../../../src/composefs/verity.ts";
import { writeErofs } from "../../../src/composefs/writer.ts";
import { TAR_END, tarEntry, tarPadding } from "../../../src/io/tar/write.ts";
import { readDumpfile, writeDumpfile } from "../../../src/tree/dumpfile.ts";
import { decodeLayer, encodeLayer } from "../../../src/tree/layer-codec.ts";
import { type Directory, type ExternalContent, INLINE_LIMIT, type InlineContent } from "../../../src/tree/node.ts";
import { encodeLabels, LabelTable } from "../../../src/tree/selinux/label-table.ts";
import { type FileType, parseAliases, parseSelinuxType } from "../../../src/tree/selinux/lines.ts";
import { buildPolicy } from "../../../src/tree/selinux/policy.ts";
import { decodeTree, encodeTree } from "../../../src/tree/tree-codec.ts";
import { type ArchiveEntry, archiveRootfs, readArchive } from "../../support/archive.ts";
import { memoryRootfs } from "../../support/tree.ts";
import { vector } from "../../support/vectors.ts";
import { type FuzzTarget, PATHS_LENGTH } from "../target.ts";

const TARS = ["xattrs", "hardlinks", "devices", "names", "whiteout", "mtimes-old", "symlinks", "random-1", "owners"];
const PATHS = ["/", "/usr/bin/sh", "/etc/a b", "/usr/lib/x.so.1", "/var/log/y/z", "/home/u/.ssh/id"];

function entriesOf(bytes: Uint8Array): ArchiveEntry[] {
  return readArchive(bytes, { subject: "x", negativeTimes: true }, 1000);
}

function contentOf(bytes: Uint8Array): InlineContent | ExternalContent {
  if (bytes.length <= INLINE_LIMIT) return { kind: "inline", bytes };
  return { kind: "external", size: BigInt(bytes.length), digest: verityDigest(bytes, "sha512"), payload: "digest" };
}

/** What an entry means, whichever way its headers say it. */
function meaning({ entry: { path, metadata, item }, content }: ArchiveEntry): string {
  const hex = (_: string, value: unknown) =>
    typeof value === "bigint" ? `${value}` : value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value;
  const name = Buffer.from(path).toString("latin1").replace(/\/+$/, "");
  // Of a hardlink, metadata are those of its target.
  const { mode, uid, gid, mtimeSec, mtimeNsec, xattrs } = metadata;
  const own = item.kind === "hardlink" ? null : { mode, uid, gid, mtimeSec, mtimeNsec, xattrs };
  return JSON.stringify([name, own, item, content], hex);
}

function dump(root: Directory): Buffer {
  return Buffer.from(concat([...writeDumpfile(root)]));
}

/** Where an image has the inodes of subdirectories, one after the other in the tables of their parents. */
function subdirectoryFields(bytes: Uint8Array): number[] {
  const image = Buffer.from(bytes);
  const found = new Set<number>();
  for (let table = 0; table + DIRENT_SIZE <= image.length; table += 4) {
    // A table tells by the place of its first name how many entries it has.
    const names = image.readUInt16LE(table + 8);
    if (names === 0 || names % DIRENT_SIZE !== 0 || table + names > image.length) continue;
    const entries = Array.from({ length: names / DIRENT_SIZE }, (_, index) => table + index * DIRENT_SIZE);
    const isTable = entries.every((at) => image.readUInt32LE(at + 4) === 0 && (image[at + 11] ?? 1) === 0);
    if (!isTable) continue;
    for (const at of entries) {
      const isDot = image[table + image.readUInt16LE(at + 8)] === 0x2e;
      if (image[at + 10] === DIRENT_TYPES.directory && !isDot) found.add(at);
    }
  }
  return [...found];
}

/** Siblings, in which and beside which there are others. */
function nestedImage(): Uint8Array {
  const paths = ["a/a", "a/b", "b/a", "b/b", "c"].map((path) => [path, null]);
  const { root } = memoryRootfs(Object.fromEntries(paths));
  return concat([...writeErofs(root, { erofs: "v1", algorithm: "sha512" })]);
}

/** The eighth field of each line of a dump file is the time. */
function withoutNanoseconds(dumpfile: Buffer): Buffer {
  return Buffer.from(dumpfile.toString("latin1").replace(/^(\S+(?: \S+){6} -?\d+)\.\d+/gm, "$1.0"), "latin1");
}

const FILE_CONTEXTS = [
  "/.*\tsystem_u:object_r:default_t:s0",
  "/usr/(.*/)?bin(/.*)?\t--\tsystem_u:object_r:bin_t:s0",
  "/etc/[a-c]+\\.?(x|y){1,3}\tsystem_u:object_r:etc_t:s0",
  "/home/[^/]+/\\.ssh(/.*)?\tsystem_u:object_r:ssh_home_t:s0",
  "/var/log(?!/y)/.*\t<<none>>",
  "/dev/tty[0-9]*\t-c\tsystem_u:object_r:tty_device_t:s0",
];

export const treeTargets: readonly FuzzTarget[] = [
  {
    name: "tar",
    messageLength: PATHS_LENGTH,
    seeds: () => TARS.map((name) => vector(`composefs/${name}.tar.gz`)),
    tokens: [
      "ustar\x0000",
      "ustar  \0",
      "path=",
      "size=",
      "mtime=",
      "SCHILY.xattr.",
      "GNU.sparse.",
      "../",
      "x",
      "L",
      "g",
    ],
    read: async (bytes) => {
      const entries = entriesOf(bytes);
      const archive = entries.flatMap(({ entry, content }) => [
        tarEntry(entry, "x"),
        content,
        tarPadding(content.length),
      ]);
      const again = entriesOf(concat([...archive, TAR_END]));
      expect(again.map(meaning)).toEqual(entries.map(meaning));
    },
  },
  {
    name: "layer-entries",
    seeds: () =>
      TARS.map((name) => {
        const entries = entriesOf(vector(`composefs/${name}.tar.gz`)).map(({ entry, content }) => ({
          ...entry,
          item:
            entry.item.kind === "regular" ? ({ kind: "regular", content: contentOf(content) } as const) : entry.item,
        }));
        return encodeLayer({ entries, compression: "gzip", isOnePart: true });
      }),
    read: (bytes) => {
      const layer = decodeLayer(bytes, "x");
      // Nothing was passed over: it says the same when it is written again.
      expect(decodeLayer(encodeLayer(layer), "x")).toEqual(layer);
    },
  },
  {
    name: "tar-tree",
    messageLength: PATHS_LENGTH,
    seeds: () => [...TARS, "whiteout-names", "deep"].map((name) => vector(`composefs/${name}.tar.gz`)),
    tokens: [".wh.", ".wh..wh..opq", "../", "./", "/", "path=", "linkpath="],
    read: async (bytes) => {
      const { root } = await archiveRootfs([bytes], "sha256");
      for (const erofs of ["v0", "v1", "v2"] as const) {
        const image = concat([...writeErofs(root, { erofs, algorithm: "sha256" })]);
        const read = readErofs(image, "x");
        expect(Buffer.compare(concat([...writeErofs(read.root, { erofs, algorithm: "sha256" })]), image)).toBe(0);
      }
    },
  },
  {
    name: "erofs",
    messageLength: PATHS_LENGTH,
    seeds: () => [
      ...["hardlinks.sha512.v1", "xattrs.sha512.v0", "whiteout-names.sha512.v1", "symlinks.sha512.v2"].map((name) =>
        vector(`image/${name}.erofs.gz`),
      ),
      vector("image/minimal.sha512.v2.erofs.gz"),
      nestedImage(),
    ],
    tokens: ["trusted.overlay.", "user.", "security.selinux\0"],
    // A directory in two places is what tools that make images never write, and what a reader must not follow.
    fields: subdirectoryFields,
    read: (bytes) => {
      const { erofs, root, links } = readErofs(bytes, "x");
      const options = { erofs, algorithm: "sha512", links } as const;
      const written = concat([...writeErofs(root, options)]);
      const again = readErofs(written, "x");
      // V2 has a place for nanoseconds that no writer uses; where a file has some, they are read, and not written.
      const stored = erofs === "v2" ? withoutNanoseconds(dump(root)) : dump(root);
      expect(dump(again.root).equals(stored)).toBe(true);
      expect(Buffer.compare(concat([...writeErofs(again.root, { ...options, links: again.links })]), written)).toBe(0);
    },
  },
  ...(["composefs-rs", "c"] as const).map(
    (dialect): FuzzTarget => ({
      name: `dumpfile-${dialect}`,
      messageLength: PATHS_LENGTH,
      seeds: () => ["xattrs", "hardlinks", "names", "devices"].map((name) => vector(`composefs/${name}.dump`)),
      tokens: ["\\x", "\\x00", "\\\\", "\n", " ", "-", "@120777", "4294967296", "/", "="],
      read: (bytes) => {
        const { root } = readDumpfile(bytes, "x", dialect);
        const written = dump(root);
        expect(dump(readDumpfile(written, "x", dialect).root).equals(written)).toBe(true);
      },
    }),
  ),
  ...(["refuse", "pcre2"] as const).map(
    (lookaround): FuzzTarget => ({
      name: `file-contexts-${lookaround}`,
      seeds: () => {
        const lines = FILE_CONTEXTS.filter((line) => lookaround === "pcre2" || !line.includes("(?!"));
        return [lines, lines.slice(1, 4)].map((some) => Buffer.from(`${some.join("\n")}\n`));
      },
      tokens: [
        "(.*)",
        "(",
        ")",
        "[",
        "]",
        "{1,1000}",
        "*",
        "+",
        "\\d",
        "(?:",
        "(?i)",
        "(?=",
        "\\p{L}",
        "|",
        "\\x{10ffff}",
        "[[:alpha:]]",
      ],
      // What a policy may cost is bounded by steps of its matcher, not by its size.
      seconds: 20,
      read: (bytes) => {
        const policy = buildPolicy([{ bytes, subject: "x" }], new Map(), lookaround, "x");
        for (const path of PATHS) policy.lookup(path, "-");
      },
    }),
  ),
  {
    name: "tree-codec",
    seeds: () => {
      const { root } = readDumpfile(vector("composefs/xattrs.dump"), "x", "composefs-rs");
      const links = readDumpfile(vector("composefs/hardlinks.dump"), "x", "composefs-rs");
      return [root, links.root].map((one) => encodeTree({ root: one, placeOf: () => ({ layer: 1, entry: 2 }) }));
    },
    tokens: ["user.", "/", "\0"],
    read: (bytes) => {
      const tree = decodeTree(bytes, "x");
      const written = encodeTree(tree);
      expect(Buffer.compare(encodeTree(decodeTree(written, "x")), written)).toBe(0);
    },
  },
  {
    name: "selinux-labels",
    seeds: () => {
      const entry = (name: string, type: FileType) => ({ name: Buffer.from(name), type, label: Buffer.from("label") });
      const directories = new Map([
        ["", [entry("usr", "d"), entry("x", "-")]],
        ["/usr", [entry("lib", "d")]],
      ]);
      const paths = [{ path: "/", type: "d", label: null }] as const;
      return [encodeLabels({ hasPcre: false, steps: 1, paths, directories, tops: new Set([""]) }) ?? Buffer.alloc(0)];
    },
    tokens: ["usr", "d"],
    read: (bytes) => {
      const table = LabelTable.of(bytes);
      table?.lookup("/", "d");
      for (const names of [["usr", "x"], ["a"], ["usr", "usr"]]) {
        let directory = table?.directory("") ?? null;
        for (const name of names) {
          directory?.lookup(Buffer.from(name), "d");
          directory = directory?.enter(name) ?? null;
        }
      }
    },
  },
  {
    name: "selinux-config",
    seeds: () => [Buffer.from("SELINUX=enforcing\nSELINUXTYPE=targeted\n")],
    tokens: ["SELINUXTYPE", "=", "\ufeff", "#", "\r\n"],
    read: (bytes) => {
      parseSelinuxType(bytes, "x");
    },
  },
  {
    name: "selinux-aliases",
    seeds: () => [Buffer.from("/run /var/run\n/usr/lib64 /usr/lib\n")],
    tokens: ["/", " ", "#", "\r\n"],
    read: (bytes) => {
      parseAliases(bytes, "x", new Map());
    },
  },
];
