/**
 * Edits of image documents (OCI image specification 1.1: "Image Index", "Image Manifest", "Image Configuration"):
 * layers, labels and annotations are added, a tag is set. Everything else in a document is kept. Documents in Docker's
 * formats become OCI ones.
 */
import { inputError } from "../errors.ts";
import { type BlobDigest, formatBlobDigest } from "./digest.ts";
import { arrayOf, type Json, type JsonObject, objectOf } from "./json.ts";
import { CONFIG_TYPE, INDEX_TYPE, MANIFEST_TYPE, ociLayerType } from "./media-types.ts";
import type { Platform } from "./platform.ts";
import type { Descriptor } from "./schemas.ts";
import { REF_NAME } from "./select.ts";

/** Annotations of an OCI manifest, by name. */
export type Annotations = Readonly<Record<string, string>>;

/** A blob as it is stored. */
export interface Blob {
  readonly digest: BlobDigest;
  /** Bytes. */
  readonly size: number;
}

/** A layer of an image: a stored archive, and what its manifest and configuration say about it. */
export interface ImageLayer extends StoredLayer {
  /** Digest of the archive when it is unpacked. */
  readonly diffId: BlobDigest;
  readonly history: HistoryEntry;
}

/** An entry of an image's history; times as RFC 3339 has them. */
export interface HistoryEntry {
  readonly created: string | null;
  readonly createdBy: string;
  readonly comment: string | null;
}

export interface ConfigEdit {
  readonly layers: readonly ImageLayer[];
  readonly labels: Annotations;
  /** RFC 3339; null: as it is. */
  readonly created: string | null;
}

/** A configuration without layers. @param created RFC 3339; null: none */
export function newConfig({ os, architecture, variant }: Platform, created: string | null): JsonObject {
  return {
    ...(created === null ? {} : { created }),
    architecture,
    os,
    ...(variant === undefined ? {} : { variant }),
    config: {},
    rootfs: { type: "layers", diff_ids: [] },
    history: [],
  };
}

/**
 * Adds layers on top, with their history, and labels. A configuration that keeps no history for the layers it has gets
 * none for these: its entries would be taken for those of the lowest layers.
 * @param subject the configuration in messages
 * @throws SealError `input` when it is damaged
 */
export function editConfig(config: JsonObject, edit: ConfigEdit, subject: string): JsonObject {
  const rootfs = objectOf(config["rootfs"], `${subject}: rootfs`);
  const diffIds = arrayOf(rootfs["diff_ids"], `${subject}: rootfs.diff_ids`);
  const history = arrayOf(config["history"], `${subject}: history`);
  const run = objectOf(config["config"], `${subject}: config`);
  const labels = { ...current(objectOf(run["Labels"], `${subject}: config.Labels`)), ...edit.labels };
  const keepsHistory = history.length > 0 || diffIds.length === 0;
  return {
    ...config,
    ...(edit.created === null ? {} : { created: edit.created }),
    config: Object.keys(labels).length === 0 ? run : { ...run, Labels: labels },
    rootfs: { ...rootfs, diff_ids: [...diffIds, ...edit.layers.map(({ diffId }) => formatBlobDigest(diffId))] },
    ...(keepsHistory ? { history: [...history, ...edit.layers.map((layer) => historyEntry(layer.history))] } : {}),
  };
}

function historyEntry({ created, createdBy, comment }: HistoryEntry): JsonObject {
  return {
    ...(created === null ? {} : { created }),
    created_by: createdBy,
    ...(comment === null ? {} : { comment }),
  };
}

export interface ManifestEdit {
  readonly config: Blob;
  /** On the descriptor of the configuration. */
  readonly configAnnotations: Annotations;
  /** The layers as they are now, lowest first, with media types by their bytes; if absent: what the manifest says. */
  readonly carried?: readonly StoredLayer[];
  readonly layers: readonly ImageLayer[];
  readonly annotations: Annotations;
}

/** A layer as a manifest names it, or a manifest as an index does. */
export interface StoredLayer extends Blob {
  readonly mediaType: string;
}

/** A manifest of these layers without a configuration, for {@link editManifest} to complete. */
export function newManifest(layers: readonly StoredLayer[]): JsonObject {
  return { schemaVersion: 2, mediaType: MANIFEST_TYPE, layers: layers.map((layer) => describe(layer, {})) };
}

/**
 * Annotations, once labels, with digests of an image as a whole (composefs-rs, "OCI Sealing Specification"; seal's):
 * after an edit it is another one.
 */
const STALE = /^(?:containers\.composefs\.(?!layer)|composefs\.(?!layer\.)|seal\.tree$)/;

/**
 * Adds layers on top, puts another configuration in its place, and adds annotations. Digests of the former
 * image are taken out.
 * @param subject the manifest in messages
 * @throws SealError `input` when it is damaged
 */
export function editManifest(manifest: JsonObject, edit: ManifestEdit, subject: string): JsonObject {
  const old = objectOf(manifest["config"], `${subject}: config`);
  const config = describe({ ...edit.config, mediaType: CONFIG_TYPE }, edit.configAnnotations);
  const layers = arrayOf(manifest["layers"], `${subject}: layers`).map((layer, index) =>
    carriedLayer(objectOf(layer, `${subject}: layers.${index}`), edit.carried?.[index] ?? null, subject),
  );
  return {
    ...manifest,
    mediaType: MANIFEST_TYPE,
    // An inlined copy (`data`) would be that of the old configuration.
    config: withAnnotations(
      { ...without(old, ["data", "urls"]), ...config },
      { ...annotationsOf(old, subject), ...edit.configAnnotations },
    ),
    layers: [...layers, ...edit.layers.map((layer) => describe(layer, {}))],
    ...annotated({ ...annotationsOf(manifest, subject), ...edit.annotations }),
  };
}

/** Annotations that locate files in a blob (zstd:chunked, estargz): not true of a blob that was recompressed. */
const PLACES = /^(?:io\.github\.containers\.zstd-chunked\.|io\.containers\.estargz\.|containerd\.io\/snapshot\/)/;

/** @param known what is there now; its media type is by its bytes, as manifests have wrong ones. Null: not known */
function carriedLayer(layer: JsonObject, known: StoredLayer | null, subject: string): JsonObject {
  const { mediaType } = layer;
  const annotations = annotationsOf(layer, subject);
  if (known === null) {
    const type = typeof mediaType === "string" ? { mediaType: ociLayerType(mediaType) } : {};
    return withAnnotations({ ...layer, ...type }, annotations);
  }
  if (layer["digest"] === formatBlobDigest(known.digest)) {
    return withAnnotations({ ...layer, mediaType: known.mediaType }, annotations);
  }
  const kept = Object.entries(annotations).filter(([key]) => !PLACES.test(key));
  return withAnnotations({ ...without(layer, ["data", "urls"]), ...describe(known, {}) }, Object.fromEntries(kept));
}

/** The annotations of a manifest, index or descriptor that are still true of another image. */
export function annotationsOf(object: JsonObject, subject: string): JsonObject {
  return current(objectOf(object["annotations"], `${subject}: annotations`));
}

function current(values: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(values).filter(([key]) => !STALE.test(key)));
}

/** The same with these annotations only. */
export function withAnnotations(object: JsonObject, annotations: JsonObject): JsonObject {
  return { ...without(object, ["annotations"]), ...annotated(annotations) };
}

/** An empty map must not be there (OCI image specification, "Annotations"). */
function annotated(annotations: JsonObject): JsonObject {
  return Object.keys(annotations).length === 0 ? {} : { annotations };
}

/** The same but for some members. */
export function without(object: JsonObject, keys: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key)));
}

/** A descriptor (OCI image specification, "Content Descriptors"). */
function describe({ mediaType, digest, size }: StoredLayer, annotations: Annotations): JsonObject {
  return { mediaType, digest: formatBlobDigest(digest), size, ...annotated(annotations) };
}

/** The entry of an index in a layout's `index.json`. @param tag null: none */
export function describeIndex(index: Blob, tag: string | null): JsonObject {
  return describe({ ...index, mediaType: INDEX_TYPE }, tag === null ? {} : { [REF_NAME]: tag });
}

/** The entry of a manifest in an index. @param tag null: none */
export function describeManifest(
  manifest: Blob,
  { os, architecture, variant }: Platform,
  tag: string | null,
): JsonObject {
  return {
    mediaType: MANIFEST_TYPE,
    digest: formatBlobDigest(manifest.digest),
    size: manifest.size,
    // Without both it says nothing, and must not be there.
    ...(os === "" || architecture === "" ? {} : { platform: describePlatform({ os, architecture, variant }) }),
    ...annotated(tag === null ? {} : { [REF_NAME]: tag }),
  };
}

/** An index without images. */
export const NEW_INDEX: JsonObject = { schemaVersion: 2, mediaType: INDEX_TYPE, manifests: [] };

/**
 * Puts an image into a layout's `index.json`: in place of all entries with its tag, else after the others. Without a
 * tag it replaces the only entry, if that has no tag either.
 * @param descriptor see {@link describeManifest}
 * @param subject the layout in messages
 * @throws SealError `input` when there are other images and no tag to distinguish them
 */
export function editIndex(index: JsonObject, descriptor: JsonObject, tag: string | null, subject: string): JsonObject {
  const manifests = arrayOf(index["manifests"], `${subject}: manifests`);
  const isReplaced = manifests.map((one) => tagOf(one) === tag && !isReferrer(one));
  const images = manifests.filter((one) => !isReferrer(one));
  if (tag === null && (images.length > 1 || images.some((one) => tagOf(one) !== null))) {
    throw inputError(subject, "contains other images; give a tag to add one: oci:PATH:TAG");
  }
  const first = isReplaced.indexOf(true);
  const before = manifests.slice(0, first < 0 ? manifests.length : first);
  const after = manifests.filter((_, place) => place >= before.length && isReplaced[place] === false);
  return { ...index, manifests: [...before, descriptor, ...after] };
}

/** Puts a manifest or an index of another layout into a layout's `index.json`, see {@link editIndex}. */
export function copyEntry(
  index: JsonObject,
  { mediaType, digest, size, platform }: Descriptor,
  tag: string | null,
  subject: string,
): JsonObject {
  const entry = {
    mediaType,
    digest: formatBlobDigest(digest),
    size,
    ...(platform === undefined ? {} : { platform: describePlatform(platform) }),
    ...annotated(tag === null ? {} : { [REF_NAME]: tag }),
  };
  return editIndex(index, entry, tag, subject);
}

function describePlatform({ os, architecture, variant }: Platform): JsonObject {
  return { architecture, os, ...(variant === undefined ? {} : { variant }) };
}

/** Whether an entry is about another image in the index. */
function isReferrer(descriptor: Json): boolean {
  return typeof objectOf(descriptor, "descriptor")["artifactType"] === "string" && tagOf(descriptor) === null;
}

function tagOf(descriptor: Json): string | null {
  const tag = objectOf(objectOf(descriptor, "descriptor")["annotations"], "annotations")[REF_NAME];
  return typeof tag === "string" ? tag : null;
}

/** A time as image documents have it. */
export function rfc3339(time: Date): string {
  return time.toISOString().replace(".000Z", "Z");
}
