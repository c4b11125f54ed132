/** Root filesystems from tar archives, hashed in memory. */
import type { VerityAlgorithm } from "../../src/composefs/profile.ts";
import { verityDigest } from "../../src/composefs/verity.ts";
import { readTar, type TarEntry } from "../../src/io/tar/read.ts";
import { TreeBuilder } from "../../src/tree/build.ts";
import { INLINE_LIMIT, type RegularFile } from "../../src/tree/node.ts";
import type { Rootfs } from "../../src/tree/rootfs.ts";

export interface ArchiveOptions {
  readonly negativeTimes?: boolean;
  readonly label?: string;
  readonly view?: Rootfs["view"];
}

/** The root filesystem that these archives make, one after the other. */
export async function archiveRootfs(
  archives: readonly Uint8Array[],
  algorithm: VerityAlgorithm,
  { negativeTimes = false, label = "layers", view = "mounted" }: ArchiveOptions = {},
): Promise<Rootfs> {
  const builder = new TreeBuilder(label);
  const contents = new Map<Uint8Array, Uint8Array>();
  for (const archive of archives) {
    const source = (async function* () {
      yield archive;
    })();
    for await (const { entry, content } of readTar(source, { subject: label, negativeTimes })) {
      const bytes = await collect(content);
      builder.add({ ...entry, item: itemOf(entry, bytes, algorithm, contents) });
    }
  }
  return {
    label,
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
