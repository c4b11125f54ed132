/** What one layer of an image holds, by itself: whatever is asked of a layer is answered by this value. */
import type { LayerEntry } from "./build.ts";

/** What one layer holds: its entries and the digests of its files. */
export interface LayerContents {
  /** In the order of the archive. */
  readonly entries: readonly LayerEntry[];
  /** How the archive is stored, by its first bytes. */
  readonly compression: "gzip" | "zstd" | "none";
  /** Whether all of it is in the first Zstandard frame or gzip member. */
  readonly isOnePart: boolean;
  /** Contents of more than `INLINE_LIMIT` bytes that were asked for, by the number of their entry, from 0. */
  readonly contents: ReadonlyMap<number, Uint8Array>;
}
