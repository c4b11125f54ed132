/** Finds the layers of an image in an OCI image layout: a directory, or an archive of one. */
import { inputError, SealError } from "../../errors.ts";
import { type BlobDigest, formatBlobDigest } from "../../oci/digest.ts";
import { parseJsonObject } from "../../oci/json.ts";
import { checkLayerType, isIndexType, manifestKind } from "../../oci/media-types.ts";
import { formatPlatform, forPlatform, isPlatform, type Platform } from "../../oci/platform.ts";
import {
  checkLayoutMarker,
  type Descriptor,
  type ImageConfig,
  JSON_LIMIT,
  parseConfig,
  parseIndex,
  parseManifest,
  type StoredImage,
} from "../../oci/schemas.ts";
import { selectPlatform, selectTagged } from "../../oci/select.ts";
import type { FileStore } from "./file-store.ts";
import { checkBlob, type Layer } from "./layer.ts";
import { readStored, type StoredFile } from "./stored-file.ts";

/** Which image of several. */
export interface ImageChoice {
  /** Tag or reference; null: the only one. */
  readonly reference: string | null;
  readonly platform: Platform;
  /** Whether the user named the platform: then an image for another one is an error. */
  readonly platformGiven: boolean;
  /** The one that has been chosen from a list already; null: none. */
  readonly manifest: Descriptor | null;
}

/** Indexes that point at indexes; deeper ones are cycles, or made to be. */
export const INDEX_DEPTH = 8;
/** Indexes in an index, at most. */
export const INNER_INDEXES = 64;
export const ENDLESS = "its indexes are nested without end";

/** A manifest, checked against its digest. */
export interface FoundManifest {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
  /** What it is called in messages. */
  readonly subject: string;
}

/**
 * Finds an image and its layers.
 * @throws SealError `input` for a layout that is damaged, hostile or lacks the image
 */
export async function layoutImage(store: FileStore, choice: ImageChoice): Promise<StoredImage<Layer>> {
  return manifestImage(store, await findManifest(store, choice), choice);
}

/**
 * Finds the manifest of an image, through as many indexes as it takes.
 * @throws SealError `input` for a layout that is damaged, hostile or lacks the image
 */
export async function findManifest(store: FileStore, choice: ImageChoice): Promise<FoundManifest> {
  const { subject } = store;
  let descriptor = choice.manifest ?? (await findTagged(store, choice));
  for (let depth = 0; ; depth++) {
    const named = `${subject}: ${formatBlobDigest(descriptor.digest)}`;
    const kind = manifestKind(descriptor.mediaType, named);
    const bytes = await readBlob(store, descriptor);
    if (kind === "manifest") return { descriptor, bytes, subject: named };
    if (depth === INDEX_DEPTH) throw inputError(subject, ENDLESS);
    const { manifests } = parseIndex(bytes, named);
    const entries = await withInner(store, manifests, choice.platform, new Set());
    descriptor = selectPlatform(entries, choice.platform, subject);
  }
}

/**
 * The entries of an index; where none is for the platform, those of the indexes in it, which do not say what they are
 * for, in their places.
 */
async function withInner(
  store: FileStore,
  manifests: readonly Descriptor[],
  platform: Platform,
  seen: Set<string>,
): Promise<readonly Descriptor[]> {
  if (forPlatform(manifests, platform).length > 0) return manifests;
  const entries: Descriptor[] = [];
  for (const one of manifests) {
    const subject = `${store.subject}: ${formatBlobDigest(one.digest)}`;
    const isInner = one.platform === undefined && isIndexType(one.mediaType);
    if (!isInner) entries.push(one);
    else if (!seen.has(one.digest.hex)) {
      seen.add(one.digest.hex);
      if (seen.size > INNER_INDEXES) throw inputError(store.subject, ENDLESS);
      const inner = parseIndex(await readBlob(store, one), subject).manifests;
      entries.push(...(await withInner(store, inner, platform, seen)));
    }
  }
  return entries;
}

/**
 * What a reference means, as `index.json` names it: a manifest, or an index.
 * @throws SealError `input` when it means nothing, or several things
 */
export async function findTagged(
  store: FileStore,
  { reference, platform }: Pick<ImageChoice, "reference" | "platform">,
): Promise<Descriptor> {
  const { manifests } = parseIndex(await readIndex(store), `${store.subject}: index.json`);
  return selectTagged(manifests, reference, platform, store.subject);
}

/** The `index.json` of a layout. @throws SealError `input` for anything but a layout */
export async function readIndex(store: FileStore): Promise<Uint8Array> {
  checkLayoutMarker(await readJson(await store.find("oci-layout")), `${store.subject}: oci-layout`);
  return readJson(await store.find("index.json"));
}

async function manifestImage(
  store: FileStore,
  { descriptor, bytes, subject }: FoundManifest,
  choice: ImageChoice,
): Promise<StoredImage<Layer>> {
  const { config: configDescriptor, layers } = parseManifest(bytes, subject);
  const configSubject = `${store.subject}: ${formatBlobDigest(configDescriptor.digest)}`;
  const configBytes = await readBlob(store, configDescriptor);
  const config = parseConfig(configBytes, configSubject);
  checkPlatform(config, choice, store.subject);
  const diffIds = checkCount(config, layers.length, subject);
  const found: Layer[] = [];
  for (const [index, layer] of layers.entries()) {
    checkLayerType(layer.mediaType, `${store.subject}: layer ${formatBlobDigest(layer.digest)}`);
    const file = await findBlob(store, layer, "layer ");
    found.push({
      file,
      digest: layer.digest,
      diffId: diffIds[index] ?? null,
      mediaType: layer.mediaType,
      negativeTimes: false,
    });
  }
  const documents = {
    config: parseJsonObject(configBytes, configSubject),
    manifest: parseJsonObject(bytes, subject),
  };
  // Many configurations leave the variant out, and an index that will hold this image again needs it.
  const variant = config.variant ?? descriptor.platform?.variant;
  return { config: { ...config, variant }, documents, layers: found };
}

/** @throws SealError `input` when the image is for another platform than the one that the user named */
export function checkPlatform(config: ImageConfig, choice: ImageChoice, subject: string): void {
  // Many configurations leave the variant out, which the index gives.
  const wanted = config.variant === undefined ? { ...choice.platform, variant: undefined } : choice.platform;
  if (!choice.platformGiven || isPlatform(config, wanted)) return;
  throw inputError(subject, `is an image for ${formatPlatform(config)}, not ${formatPlatform(choice.platform)}`);
}

/** The digests of the unpacked layers. @throws SealError `input` unless there is one for each */
export function checkCount(config: ImageConfig, layers: number, subject: string): readonly BlobDigest[] {
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length === layers) return diffIds;
  throw inputError(subject, `lists ${layers} layers, but its configuration ${diffIds.length}: the image is damaged`);
}

/** A whole JSON file. @throws SealError `input` when it is too large to be one */
export async function readJson(file: StoredFile): Promise<Uint8Array> {
  if (file.size > JSON_LIMIT) throw inputError(file.subject, `has ${file.size} bytes, too many for such a file`);
  return readStored(file, 0, file.size);
}

/** A blob of JSON, checked against its digest. @throws SealError `input` when it is missing or damaged */
export async function readBlob(store: FileStore, descriptor: Descriptor): Promise<Uint8Array> {
  const bytes = await readJson(await findBlob(store, descriptor, ""));
  checkBlob(bytes, descriptor.digest, `${store.subject}: ${formatBlobDigest(descriptor.digest)}`);
  return bytes;
}

async function findBlob(store: FileStore, { digest, size }: Descriptor, what: string): Promise<StoredFile> {
  const subject = `${store.subject}: ${what}${formatBlobDigest(digest)}`;
  let file: StoredFile;
  try {
    file = await store.find(`blobs/${digest.algorithm}/${digest.hex}`);
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    throw inputError(subject, "its blob is missing or can't be read; copy the image again, whole", error);
  }
  if (file.size !== size) throw inputError(subject, `has ${file.size} bytes, not ${size}: the image is damaged`);
  return { ...file, subject };
}
