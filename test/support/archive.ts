/** Root filesystems from tar archives, hashed in memory. */
import { concat } from "../../src/chunks.ts";
import type { VerityAlgorithm } from "../../src/composefs/series.ts";
import { verityDigest } from "../../src/composefs/verity.ts";
import { type TarEntry, type TarOptions, TarReader } from "../../src/io/tar/read.ts";
import { TreeBuilder } from "../../src/tree/build.ts";
import { INLINE_LIMIT, type RegularFile } from "../../src/tree/node.ts";
import type { Rootfs } from "../../src/tree/rootfs.ts";

export interface ArchiveOptions {
  readonly negativeTimes?: boolean;
  readonly subject?: string;
  readonly view?: Rootfs["view"];
}

/** An entry with its content; of what is not a regular file that is empty. */
export interface ArchiveEntry {
  readonly entry: TarEntry;
  readonly content: Uint8Array;
}

/** The entries of an archive. @param size of the pieces in which it comes; default: one piece */
export function readArchive(archive: Uint8Array, options: TarOptions, size = archive.length): ArchiveEntry[] {
  const entries: ArchiveEntry[] = [];
  const pieces: Uint8Array[] = [];
  let current: TarEntry | null = null;
  const reader = new TarReader(options, {
    entry: (entry) => {
      if (current !== null) throw new Error("the content of the entry before has not ended");
      if (entry.item.kind === "regular") current = entry;
      else entries.push({ entry, content: new Uint8Array() });
    },
    content: (piece) => pieces.push(Uint8Array.from(piece)),
    contentEnd: () => {
      if (current === null) throw new Error("there is no content");
      entries.push({ entry: current, content: concat(pieces.splice(0)) });
      current = null;
    },
  });
  for (let at = 0; at < archive.length; at += size) {
    // What was given may be overwritten afterwards.
    const piece = Uint8Array.from(archive.subarray(at, at + size));
    reader.push(piece);
    piece.fill(0xa5);
  }
  reader.finish();
  return entries;
}

/** The root filesystem that these archives make, one after the other. */
export async function archiveRootfs(
  archives: readonly Uint8Array[],
  algorithm: VerityAlgorithm,
  { negativeTimes = false, subject = "layers", view = "mounted" }: ArchiveOptions = {},
): Promise<Rootfs> {
  const builder = new TreeBuilder(subject);
  const contents = new Map<Uint8Array, Uint8Array>();
  for (const archive of archives) {
    for (const { entry, content } of readArchive(archive, { subject, negativeTimes })) {
      builder.add({ ...entry, item: itemOf(entry, content, algorithm, contents) });
    }
  }
  return {
    subject,
    root: builder.finish(),
    view,
    readContent: async (_, file: RegularFile) => {
      const digest = file.content.kind === "external" ? file.content.digest : null;
      return contents.get(digest ?? new Uint8Array()) ?? Promise.reject(new Error("unknown content"));
    },
  };
}

type Item = Parameters<TreeBuilder["add"]>[0]["item"];

function itemOf(
  { item }: TarEntry,
  bytes: Uint8Array,
  algorithm: VerityAlgorithm,
  contents: Map<Uint8Array, Uint8Array>,
): Item {
  if (item.kind !== "regular") return item;
  if (bytes.length <= INLINE_LIMIT) return { kind: "regular", content: { kind: "inline", bytes } };
  const digest = verityDigest(bytes, algorithm);
  contents.set(digest, bytes);
  return { kind: "regular", content: { kind: "external", size: BigInt(bytes.length), digest, payload: "digest" } };
}

export async function collect(content: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Uint8Array.from(Buffer.concat(chunks));
}
