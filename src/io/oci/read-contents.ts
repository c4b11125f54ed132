/** Reads one layer: its files are hashed as they pass, and those that are asked for are kept. */
import type { VerityAlgorithm } from "../../composefs/profile.ts";
import { VerityHasher, verityDigest } from "../../composefs/verity.ts";
import type { LayerEntry } from "../../tree/build.ts";
import type { LayerContents } from "../../tree/layer-contents.ts";
import { type ExternalContent, INLINE_LIMIT, type InlineContent } from "../../tree/node.ts";
import type { TarEntry } from "../tar/read.ts";
import type { Layer } from "./layer.ts";
import { storedForm } from "./layer-form.ts";
import { readLayer } from "./read-layer.ts";
import type { Unpackers } from "./unpack.ts";

export interface ContentsOptions {
  /** Null: external contents have no digest. */
  readonly algorithm: VerityAlgorithm | null;
  /** See `TransformRules.paxOwners`. */
  readonly paxOwners: "count" | "ignored";
  /** Whether a content of more than `INLINE_LIMIT` bytes is kept; asked once for each file, which is told by the number of its entry. */
  readonly wants: (path: Uint8Array, size: bigint, entry: number) => boolean;
  readonly on: ContentsListener;
}

/** Told how far the reading is. What it throws ends it. */
export interface ContentsListener {
  /** @param bytes of the stored layer that have been read so far */
  readonly stored: (bytes: number) => void;
  readonly entry: (kind: LayerEntry["item"]["kind"]) => void;
  /** @param bytes that went through the hash since the last call */
  readonly hashed: (bytes: number) => void;
}

/**
 * What a layer holds. All its digests have been checked.
 * @throws SealError `input` as {@link readLayer}
 */
export async function readContents(
  layer: Layer,
  unpackers: Unpackers,
  { algorithm, paxOwners, wants, on }: ContentsOptions,
): Promise<LayerContents> {
  const entries: LayerEntry[] = [];
  const contents = new Map<number, Uint8Array>();
  let unpacked = 0;
  const archive = unpackers.archive(layer, on.stored, (bytes) => {
    unpacked = bytes;
  });
  const read = async ({ path, item }: TarEntry, chunks: AsyncIterable<Uint8Array>): Promise<LayerEntry["item"]> => {
    if (item.kind !== "regular") return item;
    const size = item.content;
    const isKept = size > INLINE_LIMIT && wants(path, size, entries.length);
    if (!isKept && size > INLINE_LIMIT) {
      const digest = algorithm === null ? null : await hashed(chunks, algorithm, on.hashed);
      return { kind: "regular", content: external(size, digest) };
    }
    const bytes = await collect(chunks, size);
    if (!isKept) return { kind: "regular", content: { kind: "inline", bytes } satisfies InlineContent };
    contents.set(entries.length, bytes);
    if (algorithm === null) return { kind: "regular", content: external(size, null) };
    on.hashed(bytes.length);
    return { kind: "regular", content: external(size, verityDigest(bytes, algorithm)) };
  };
  for await (const { entry, content } of readLayer(layer, archive, paxOwners)) {
    on.entry(entry.item.kind);
    entries.push({ ...entry, item: await read(entry, content) });
  }
  return { entries, ...(await storedForm(layer, unpacked)), contents };
}

function external(size: bigint, digest: Uint8Array | null): ExternalContent {
  return { kind: "external", size, digest, payload: digest === null ? null : "digest" };
}

async function hashed(
  chunks: AsyncIterable<Uint8Array>,
  algorithm: VerityAlgorithm,
  onHashed: ContentsListener["hashed"],
): Promise<Uint8Array> {
  const hasher = new VerityHasher(algorithm);
  for await (const chunk of chunks) {
    hasher.update(chunk);
    onHashed(chunk.length);
  }
  return hasher.digest();
}

/** A copy of all chunks, each made before the next one comes: they are views of memory that is used again. */
export async function collect(chunks: AsyncIterable<Uint8Array>, size: bigint): Promise<Uint8Array> {
  const bytes = new Uint8Array(Number(size));
  let offset = 0;
  for await (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}
