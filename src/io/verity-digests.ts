/** fs-verity digests of contents in memory, computed while other threads write these. */
import { byteLength, type Chunks } from "../chunks.ts";
import type { VerityAlgorithm } from "../composefs/series.ts";
import { VerityHasher } from "../composefs/verity.ts";
import type { LayerEntry } from "../tree/build.ts";
import { INLINE_LIMIT } from "../tree/node.ts";
import { giveWay } from "./give-way.ts";

/** So much is hashed in a millisecond or less; then this thread gives other threads their next work. */
const TURN = 512 << 10;

/** The digests of all contents of a layer that have one: by the content, which several files may have. */
export async function verityDigests(
  entries: readonly LayerEntry<Chunks>[],
  algorithm: VerityAlgorithm,
): Promise<ReadonlyMap<Chunks, Uint8Array>> {
  const digests = new Map<Chunks, Uint8Array>();
  for (const { item } of entries) {
    if (item.kind !== "regular" || byteLength(item.content) <= INLINE_LIMIT || digests.has(item.content)) continue;
    const hasher = new VerityHasher(algorithm);
    for (const chunk of item.content) {
      for (let at = 0; at < chunk.length; at += TURN) {
        hasher.update(chunk.subarray(at, at + TURN));
        await giveWay();
      }
    }
    digests.set(item.content, hasher.digest());
  }
  return digests;
}
