/** Puts one more layer on top of a root filesystem, without unpacking anything. */
import { byteLength, type Chunks, concat } from "../chunks.ts";
import type { VerityAlgorithm } from "../composefs/series.ts";
import { VerityHasher } from "../composefs/verity.ts";
import type { LayerEntry } from "../tree/build.ts";
import { type ExternalContent, INLINE_LIMIT, type InlineContent } from "../tree/node.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import { withUpperLayer } from "../tree/upper-layer.ts";

/**
 * A root filesystem with the entries of `upperLayer` on top; their contents can be read from it.
 * @param algorithm hash of the contents
 * @param digests of contents, as far as they have been hashed already
 */
export function withLayer(
  rootfs: Rootfs,
  entries: readonly LayerEntry<Chunks>[],
  algorithm: VerityAlgorithm,
  digests: ReadonlyMap<Chunks, Uint8Array> = new Map(),
): Rootfs {
  const contents = new Map<InlineContent | ExternalContent, Chunks>();
  const known = entries.map(({ item, ...entry }): LayerEntry => {
    if (item.kind !== "regular") return { ...entry, item };
    const content = contentOf(item.content, (chunks) => digests.get(chunks) ?? verityOf(chunks, algorithm));
    contents.set(content, item.content);
    return { ...entry, item: { kind: "regular", content } };
  });
  return {
    ...rootfs,
    root: withUpperLayer(rootfs.root, known),
    readContent: async (components, file) => {
      const own = contents.get(file.content);
      return own === undefined ? rootfs.readContent(components, file) : concat(own);
    },
  };
}

function contentOf(chunks: Chunks, digestOf: (chunks: Chunks) => Uint8Array): InlineContent | ExternalContent {
  const size = byteLength(chunks);
  if (size <= INLINE_LIMIT) return { kind: "inline", bytes: concat(chunks) };
  return { kind: "external", size: BigInt(size), digest: digestOf(chunks), payload: "digest" };
}

function verityOf(chunks: Chunks, algorithm: VerityAlgorithm): Uint8Array {
  const hasher = new VerityHasher(algorithm);
  for (const chunk of chunks) hasher.update(chunk);
  return hasher.digest();
}
