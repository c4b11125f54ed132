/** The tar archive of entries whose contents are in memory. */
import { byteLength, type Chunks } from "../../chunks.ts";
import type { LayerEntry } from "../../tree/build.ts";
import { TAR_END, tarEntry, tarPadding } from "./write.ts";

/**
 * @param subject the archive in messages
 * @throws SealError `input` for what {@link tarEntry} refuses
 */
export function* entriesArchive(entries: readonly LayerEntry<Chunks>[], subject: string): Generator<Uint8Array> {
  for (const { item, ...entry } of entries) {
    if (item.kind !== "regular") {
      yield tarEntry({ ...entry, item }, subject);
      continue;
    }
    const size = byteLength(item.content);
    yield tarEntry({ ...entry, item: { kind: "regular", content: BigInt(size) } }, subject);
    yield* item.content;
    yield tarPadding(size);
  }
  yield TAR_END;
}
