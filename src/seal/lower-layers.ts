/** The layers below those that sealing adds: another image's, which are carried over, or new ones of a directory. */
import { resolve } from "node:path";
import { displayBytes } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { carryLayers } from "../io/oci/carried-layers.ts";
import type { CompressionChoice } from "../io/oci/compress.ts";
import { writeLayers } from "../io/oci/fresh-layers.ts";
import { openStoredImage } from "../io/oci/image.ts";
import type { StagedImage } from "../io/oci/image-writer.ts";
import type { Layer } from "../io/oci/layer.ts";
import { type ReadContent, readFrom } from "../io/oci/layer-archive.ts";
import { LayerMemory } from "../io/oci/layer-memory.ts";
import { planLayers } from "../io/oci/layer-plan.ts";
import type { DirectorySource, ImageSource } from "../io/rootfs-source.ts";
import { editConfig, type ImageLayer, newConfig, rfc3339, type StoredLayer } from "../oci/edit.ts";
import { formatJson, type JsonObject } from "../oci/json.ts";
import type { LayerForm } from "../oci/layer-form.ts";
import { layerType } from "../oci/media-types.ts";
import { parseConfig, type StoredImage } from "../oci/schemas.ts";
import { type EfiArch, goArchOf } from "../pe/arch.ts";
import { type FileChanges, NO_FILE_CHANGES } from "../tree/file-changes.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import { digestRootfs, type RootfsDigests } from "./digest.ts";
import type { DigestPlan } from "./digest-plan.ts";
import type { PreparedRootfs, PrepareRootfs } from "./image-preparation.ts";
import { imageTreeToDigest } from "./image-tree.ts";
import type { Ports } from "./ports.ts";
import { layersToRewrite, type Recompression, type RewrittenLayer, rewriteSome } from "./recompress.ts";

/** How a fresh image is made of a directory; {@link FRESH_DEFAULTS} has what is left out. */
export interface FreshOptions {
  /** Bytes that a layer holds unpacked, about. */
  readonly layerSize?: number | undefined;
  readonly compression?: CompressionChoice | undefined;
  /** An image whose configuration is taken over; without: `/sbin/init` is the command. */
  readonly configFrom?: ImageSource | undefined;
}

/** What applies where nothing is said. Layers of this size are few enough for every store, and small enough to be fetched side by side. */
export const FRESH_DEFAULTS = {
  layerSize: 64 << 20,
  compression: { kind: "gzip", level: null },
} as const satisfies FreshOptions;

/** What decides on the lower layers. */
export interface LowerOptions {
  readonly plan: DigestPlan;
  /** Only of a directory. */
  readonly fresh: FreshOptions;
  /** When fresh layers are made; null: they don't say. */
  readonly time: Date | null;
  /** Only of an image; null: its layers go into the new one byte for byte. */
  readonly recompress: Recompression | null;
  /** What is made of the root filesystem before its digest is taken. */
  readonly prepare: PrepareRootfs;
  /** Ends the reading of an image with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** A root filesystem that has been read and digested, and whose layers are in the new image. */
export interface LowerLayers {
  /** What messages call the source. */
  readonly subject: string;
  /** Its root filesystem still has the kernel. */
  readonly computed: RootfsDigests;
  readonly prepared: PreparedRootfs;
  /** The root filesystem that the layers in the new image make. */
  readonly below: Rootfs;
  /** What of the preparation is not in these layers. */
  readonly changes: FileChanges;
  /** Lowest first. */
  readonly layers: readonly StoredLayer[];
  readonly origin: "carried" | "made";
  /** Those of {@link layers} that are not the same bytes as before. */
  readonly rewritten: readonly RewrittenLayer[];
  /** What was read of those that are the same bytes as before. */
  readonly memory: LayerMemory;
  /** How each is stored now, as far as it was read from somewhere. */
  readonly forms: readonly LayerForm[];
  /** The documents that the new image's are made from. @param arch of its kernel */
  readonly image: (arch: EfiArch) => StoredImage<Layer>;
}

/**
 * Whether a registry gets the layers as they are: those that were compressed, or whose form was chosen. A store has those of an
 * image unpacked, which are compressed when they go to a registry, as podman and docker do it.
 */
export function areAsMeant({ origin, layers }: LowerLayers): boolean {
  return origin === "made" || layers.every(({ mediaType }) => layerType(mediaType) !== "none");
}

/**
 * Reads a root filesystem and puts its layers into an image.
 * @throws SealError `input` for what can't be read or be an image
 */
export async function writeLowerLayers(
  source: ImageSource | DirectorySource,
  staged: StagedImage,
  options: LowerOptions,
  ports: Ports,
): Promise<LowerLayers> {
  return source.kind === "dir" ? makeLayers(source, staged, options, ports) : carryOver(source, staged, options, ports);
}

async function carryOver(
  source: ImageSource,
  staged: StagedImage,
  { plan, recompress, prepare, signal }: LowerOptions,
  ports: Ports,
): Promise<LowerLayers> {
  const carried: StoredLayer[] = [];
  const memory = new LayerMemory();
  const computed = await digestRootfs(source, plan, ports, {
    memory,
    // All layers are read before the new image gets its name: now, and what is read is only hashed there, or there, where they are others.
    cacheUse: recompress === null ? "fill" : "take",
    treeToDigest: imageTreeToDigest(source, { plan, prepare }, ports),
    // Which are packed anew is known when all have been read.
    meanwhile:
      recompress !== null
        ? undefined
        : async (stored, ended) => {
            carried.push(...(await carryLayers(stored, staged, ended)));
          },
    signal,
  });
  const { image, rootfs: below, forms = [] } = computed;
  const prepared = await prepare(below);
  const rewritten = recompress === null ? [] : layersToRewrite(image.layers, forms, recompress, plan);
  const layers = recompress === null ? carried : await rewriteSome(image.layers, rewritten, staged, ports);
  const isRewritten = (index: number) => rewritten.some((one) => one.index === index);
  return {
    ...{ subject: source.subject, computed, prepared, below, changes: prepared.changes, layers, rewritten },
    ...{ origin: "carried", memory },
    forms: forms.map((form, index) => ({ ...form, wrongType: null, isOnePart: form.isOnePart || isRewritten(index) })),
    image: () => image,
  };
}

async function makeLayers(
  source: DirectorySource,
  staged: StagedImage,
  { plan, fresh, time, prepare }: LowerOptions,
  ports: Ports,
): Promise<LowerLayers> {
  const { layerSize = FRESH_DEFAULTS.layerSize, compression = FRESH_DEFAULTS.compression, configFrom } = fresh;
  const configuration = configFrom === undefined ? null : await givenConfiguration(configFrom, ports);
  const computed = await digestRootfs(source, plan, ports, {
    treeToDigest: imageTreeToDigest(source, { plan, prepare }, ports),
  });
  const { digestedTree } = computed;
  const prepared = await prepare(computed.rootfs);
  const created = time === null ? null : rfc3339(time);
  const progress = ports.progress.copy("writing layers");
  const layers = await writeLayers(staged.blobs, planLayers(digestedTree.root, layerSize), {
    readContent: withFiles(prepared.changes, readFrom(resolve(ports.cwd, source.path))),
    compression,
    subject: source.subject,
    history: { created, createdBy: "seal image: a part of the root filesystem", comment: null },
    onProgress: progress.onBytes,
  });
  progress.done(layers.reduce((sum, { size }) => sum + size, 0));
  const image = (arch: EfiArch) => freshImage(source.subject, { configuration, layers, created, arch });
  return {
    ...{
      subject: source.subject,
      computed,
      prepared,
      below: digestedTree,
      changes: NO_FILE_CHANGES,
      layers,
      rewritten: [],
    },
    ...{ origin: "made", forms: [], image, memory: new LayerMemory() },
  };
}

/** Contents of files that are written, and of all others as they are on the disk. */
function withFiles({ write }: FileChanges, others: ReadContent): ReadContent {
  const own = new Map(write.map(({ path, content }) => [path, content]));
  return (path, file, buffer) => own.get(displayBytes(path)) ?? others(path, file, buffer);
}

/** A configuration without its layers. */
async function givenConfiguration(source: ImageSource, { cwd, remote }: Ports): Promise<JsonObject> {
  const { documents } = await openStoredImage(source, { cwd, remote });
  return { ...documents.config, rootfs: { type: "layers", diff_ids: [] }, history: [] };
}

interface FreshImage {
  /** Null: a new one. */
  readonly configuration: JsonObject | null;
  readonly layers: readonly ImageLayer[];
  readonly created: string | null;
  readonly arch: EfiArch;
}

/** The documents of an image that has these layers and nothing else. */
function freshImage(from: string, { configuration, layers, created, arch }: FreshImage): StoredImage<Layer> {
  const architecture = goArchOf(arch);
  if (architecture === null) throw inputError(from, `has a kernel for ${arch}, which is not an architecture of images`);
  const base = configuration ?? {
    ...newConfig({ os: "linux", architecture }, created),
    config: { Cmd: ["/sbin/init"] },
  };
  const config = editConfig(base, { layers, labels: {}, created }, from);
  const parsed = parseConfig(formatJson(config), from);
  if (parsed.architecture !== architecture) {
    const reason = `has a kernel for ${architecture}, but the configuration of --config-from is for ${parsed.architecture}`;
    throw inputError(from, `${reason}; name the image of that platform`);
  }
  return { config: parsed, documents: { config, manifest: null }, layers: [] };
}
