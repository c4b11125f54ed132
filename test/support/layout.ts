/** Writes OCI image layouts. */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { concat } from "../../src/chunks.ts";
import { layerArchive, readFrom } from "../../src/io/oci/layer-archive.ts";
import { planLayers } from "../../src/io/oci/layer-plan.ts";
import { scanDirectory } from "./scan.ts";

export type LayerCompression = "gzip" | "zstd" | "none";
/** A layer as it is stored, and the media type that the manifest has for it. */
export type StoredLayer = readonly [bytes: Uint8Array, mediaType: string];

export interface StoredBlob {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

export interface LayoutOptions {
  readonly compression?: LayerCompression | ((layer: Uint8Array) => StoredLayer);
  readonly tag?: string;
  readonly architecture?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Members of the configuration that are to be others. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export function writeBlob(path: string, bytes: Uint8Array, mediaType: string): StoredBlob {
  const hex = sha256(bytes);
  mkdirSync(join(path, "blobs/sha256"), { recursive: true });
  writeFileSync(join(path, "blobs/sha256", hex), bytes);
  return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
}

export function writeJsonBlob(path: string, value: unknown, mediaType: string): StoredBlob {
  return writeBlob(path, Buffer.from(JSON.stringify(value)), mediaType);
}

export function compress(bytes: Uint8Array, compression: LayerCompression): Uint8Array {
  if (compression === "none") return bytes;
  return compression === "gzip" ? gzipSync(bytes, { level: 1 }) : zstdCompressSync(bytes);
}

/** The manifest of an image with these layers (tar archives). */
export function writeImageBlobs(path: string, layers: readonly Uint8Array[], options: LayoutOptions = {}): StoredBlob {
  const { compression = "gzip", architecture = "amd64", labels, annotations } = options;
  const suffix = compression === "none" ? "" : `+${compression}`;
  const stored = (layer: Uint8Array): StoredLayer =>
    typeof compression === "function"
      ? compression(layer)
      : [compress(layer, compression), `application/vnd.oci.image.layer.v1.tar${suffix}`];
  const blobs = layers.map((layer) => writeBlob(path, ...stored(layer)));
  const config = {
    os: "linux",
    architecture,
    config: labels === undefined ? {} : { Labels: labels },
    rootfs: { type: "layers", diff_ids: layers.map((layer) => `sha256:${sha256(layer)}`) },
    history: layers.map(() => ({ created: "1970-01-01T00:00:00Z", created_by: "test" })),
    ...options.config,
  };
  const manifest = {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: writeJsonBlob(path, config, "application/vnd.oci.image.config.v1+json"),
    layers: blobs,
    ...(annotations === undefined ? {} : { annotations }),
  };
  return writeJsonBlob(path, manifest, manifest.mediaType);
}

/** The top of a layout. */
export function writeIndex(path: string, manifests: readonly unknown[]): void {
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  const mediaType = "application/vnd.oci.image.index.v1+json";
  writeFileSync(join(path, "index.json"), JSON.stringify({ schemaVersion: 2, mediaType, manifests }));
}

/** A whole layout with one image. */
export function writeLayout(path: string, layers: readonly Uint8Array[], options: LayoutOptions = {}): void {
  const manifest = writeImageBlobs(path, layers, options);
  writeIndex(path, [{ ...manifest, annotations: { "org.opencontainers.image.ref.name": options.tag ?? "latest" } }]);
}

/**
 * A layout with the image that holds what a directory holds now: one layer, exact times, all xattrs that seal counts.
 */
export async function writeLayoutOf(directory: string, path: string, options: LayoutOptions = {}): Promise<void> {
  writeLayout(path, await layersOf(directory), options);
}

/** What a directory holds now as one layer. */
export async function layersOf(directory: string): Promise<Uint8Array[]> {
  const { root } = await scanDirectory(directory, { algorithm: null, xattrs: ["security.capability", "user."] });
  const layers = planLayers(root, Number.POSITIVE_INFINITY);
  return layers.map((layer) => concat([...layerArchive(layer, readFrom(directory), directory)]));
}
