/** Images whose layers are stored in ways that not every reader unpacks. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { writeBlob, writeJsonBlob, writeLayout } from "./layout.ts";
import { sealableLayers } from "./sealable.ts";

export const LAYER = "application/vnd.oci.image.layer.v1.tar";
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";

export interface StoredBytes {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
}

/** Writes a layout with an image whose layers are stored as they are given. @param archives in them */
export function storeLayers(
  path: string,
  stored: readonly StoredBytes[],
  archives: readonly Uint8Array[] = sealableLayers(),
): void {
  writeLayout(path, archives, { compression: "none" });
  const index = JSON.parse(readFileSync(join(path, "index.json"), "utf8"));
  const old = join(path, "blobs", index.manifests[0].digest.replace(":", "/"));
  const manifest = JSON.parse(readFileSync(old, "utf8"));
  rmSync(old);
  manifest.layers = stored.map(({ bytes, mediaType }) => writeBlob(path, bytes, mediaType));
  writeFileSync(
    join(path, "index.json"),
    JSON.stringify({ ...index, manifests: [writeJsonBlob(path, manifest, MANIFEST)] }),
  );
}

/** The layers of an image as tools for partial pulls and parallel compressors make them: both in several parts. */
export function manyParts(): readonly StoredBytes[] {
  const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = sealableLayers();
  const parts = [first.subarray(0, 1024), first.subarray(1024)];
  const skippable = Buffer.concat([Buffer.of(0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0), Buffer.from("abcd")]);
  const frames = parts.flatMap((part) => [zstdCompressSync(part), skippable]);
  const members = [second.subarray(0, 512), second.subarray(512)].map((part) => gzipSync(part));
  return [
    { bytes: Buffer.concat(frames), mediaType: `${LAYER}+zstd` },
    { bytes: Buffer.concat(members), mediaType: LAYER },
  ];
}
