/** What there is to know of a composefs image (EROFS) or dump file, as data and as a picture. */
import type { ChalkInstance } from "chalk";
import { z } from "zod";
import { Cursor, escapeControls, toHex } from "../../bytes.ts";
import { erofsDigest } from "../../composefs/digest.ts";
import { COMPOSEFS_MAGIC, EROFS_MAGIC, SUPERBLOCK_OFFSET } from "../../composefs/format.ts";
import { readErofs } from "../../composefs/reader.ts";
import type { ErofsVersion, VerityAlgorithm } from "../../composefs/series.ts";
import { verityDigest } from "../../composefs/verity.ts";
import { SealError } from "../../errors.ts";
import { parseDumpfile } from "../../tree/dumpfile.ts";
import { contentSize, type Directory, type Leaf, type NodeKind } from "../../tree/node.ts";
import { formatBytes, formatCount, renderIndented } from "../terminal/report.ts";

const erofsVersion = z.enum(["v0", "v1", "v2"]);

export const treeReportSchema = z.object({
  file: z.string(),
  type: z.enum(["erofs", "dumpfile"]),
  size: z.int(),
  /** Facts of the superblock; null for a dump file. */
  image: z
    .object({ erofs: erofsVersion, inodes: z.int(), blocks: z.int(), buildTime: z.string(), rootNid: z.int() })
    .nullable(),
  /**
   * fs-verity digests: of an image as it is, with either hash; of a dump file those of the images that it would make,
   * with the hash of its contents. Formats that can't hold the tree are left out.
   */
  digests: z.array(z.object({ erofs: erofsVersion, algorithm: z.enum(["sha512", "sha256"]), digest: z.string() })),
  /** Inodes by kind; names that a hardlink adds are counted apart. */
  counts: z.object({
    directories: z.int(),
    regular: z.int(),
    /** Of the regular files, those whose content is in the image. */
    inline: z.int(),
    symlinks: z.int(),
    devices: z.int(),
    fifos: z.int(),
    sockets: z.int(),
    hardlinks: z.int(),
  }),
  /** Content of all regular files. */
  contentBytes: z.int(),
});
export type TreeReport = z.infer<typeof treeReportSchema>;

export function isErofs(bytes: Uint8Array): boolean {
  const cursor = new Cursor(bytes, "");
  return (
    bytes.length >= SUPERBLOCK_OFFSET + 4 &&
    (cursor.u32(0, "magic") === COMPOSEFS_MAGIC || cursor.u32(SUPERBLOCK_OFFSET, "magic") === EROFS_MAGIC)
  );
}

/** A dump file starts with the line of the root directory. */
export function isDumpfile(bytes: Uint8Array): boolean {
  return bytes[0] === 0x2f && bytes[1] === 0x20;
}

/** @throws SealError `input` for anything but a sound composefs image */
export function describeErofs(bytes: Uint8Array, file: string): TreeReport {
  const { erofs, root } = readErofs(bytes, file);
  const superblock = new Cursor(bytes.subarray(SUPERBLOCK_OFFSET), file);
  const nanoseconds = String(superblock.u32(32, "build time")).padStart(9, "0");
  return treeReportSchema.parse({
    file,
    type: "erofs",
    size: bytes.length,
    image: {
      erofs,
      inodes: Number(superblock.u64(16, "number of inodes")),
      blocks: superblock.u32(36, "number of blocks"),
      buildTime: `${BigInt.asIntN(64, superblock.u64(24, "build time"))}.${nanoseconds}`,
      rootNid: superblock.u16(14, "root inode"),
    },
    digests: (["sha512", "sha256"] as const).map((algorithm) => ({
      erofs,
      algorithm,
      digest: toHex(verityDigest(bytes, algorithm)),
    })),
    ...countTree(root),
  });
}

/** @throws SealError `input` for anything that cfsctl would not read either */
export function describeDumpfile(bytes: Uint8Array, file: string): TreeReport {
  const root = parseDumpfile(bytes, file);
  const { algorithm, ...counted } = countTree(root);
  const digests = (["v0", "v1", "v2"] as const).flatMap((erofs) => digestOf(root, erofs, algorithm));
  return treeReportSchema.parse({ file, type: "dumpfile", size: bytes.length, image: null, digests, ...counted });
}

function digestOf(root: Directory, erofs: ErofsVersion, algorithm: VerityAlgorithm): TreeReport["digests"] {
  try {
    const { digest } = erofsDigest(root, { erofs, algorithm });
    return [{ erofs, algorithm, digest }];
  } catch (error) {
    if (error instanceof SealError) return [];
    throw error;
  }
}

/** Counts, and the hash that the contents are named by: sha512 unless a digest is as long as one of sha256. */
function countTree(root: Directory): Pick<TreeReport, "counts" | "contentBytes"> & { algorithm: VerityAlgorithm } {
  const seen = new Set<Leaf>();
  const kinds: Record<NodeKind, number> = {
    directory: 0,
    regular: 0,
    symlink: 0,
    char: 0,
    block: 0,
    fifo: 0,
    socket: 0,
  };
  let inline = 0;
  let hardlinks = 0;
  let bytes = 0n;
  let algorithm: VerityAlgorithm = "sha512";
  const pending = [root];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    kinds.directory++;
    for (const { node } of directory.entries) {
      if (node.kind === "directory") {
        pending.push(node);
        continue;
      }
      if (seen.has(node)) {
        hardlinks++;
        continue;
      }
      seen.add(node);
      kinds[node.kind]++;
      if (node.kind !== "regular") continue;
      bytes += contentSize(node);
      if (node.content.kind === "inline") inline++;
      else if (node.content.digest?.length === 32) algorithm = "sha256";
    }
  }
  const counts = {
    directories: kinds.directory,
    regular: kinds.regular,
    inline,
    symlinks: kinds.symlink,
    devices: kinds.char + kinds.block,
    fifos: kinds.fifo,
    sockets: kinds.socket,
    hardlinks,
  };
  return { counts, contentBytes: Number(bytes), algorithm };
}

/** All lines, without a final newline. @param columns width of the terminal; null: there is none */
export function drawTree(report: TreeReport, paint: ChalkInstance, columns: number | null): string {
  const { image, counts } = report;
  const title = image === null ? "composefs dump file" : `composefs image · EROFS ${image.erofs}`;
  const facts =
    image === null
      ? []
      : [
          ["inodes", formatCount(image.inodes)],
          ["blocks", formatCount(image.blocks)],
          ["build time", image.buildTime],
        ];
  const rows = [
    ...facts,
    ["contents", formatBytes(report.contentBytes)],
    ...Object.entries(counts)
      .filter(([, count]) => count > 0)
      .map(([name, count]) => [name, formatCount(count)]),
  ];
  const digests = report.digests.map(({ erofs, algorithm, digest }) => [erofs, algorithm, digest]);
  return [
    `${paint.bold(escapeControls(report.file))}  ${title} · ${formatBytes(report.size)}`,
    renderIndented(rows, columns),
    ...(digests.length === 0 ? [] : ["", paint.bold("fs-verity digests"), renderIndented(digests, columns)]),
  ].join("\n");
}
