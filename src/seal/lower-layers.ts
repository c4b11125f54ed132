/**
 * The layers below those that sealing adds: those of another image, which are carried over, or new ones made from a
 * directory.
 */
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
import { digestRootfs, type Reading, type RootfsDigests } from "./digest.ts";
import type { DigestPlan } from "./digest-plan.ts";
import type { PreparedRootfs, PrepareRootfs } from "./image-preparation.ts";
import { imageTreeToDigest } from "./image-tree.ts";
import type { Ports } from "./ports.ts";
import { layersToRewrite, type Recompression, type RewrittenLayer, rewriteSome } from "./recompress.ts";

/** How a fresh image is made from a directory; {@link FRESH_DEFAULTS} applies to what is left out. */
export interface FreshOptions {
  /** Approximate size of an unpacked layer, in bytes. */
  readonly layerSize?: number | undefined;
  readonly compression?: CompressionChoice | undefined;
  /** An image whose configuration is copied; absent: the command is `/sbin/init`. */
  readonly configFrom?: ImageSource | undefined;
}

/** The defaults. Layers of this size are few enough for every store, and small enough to be fetched in parallel. */
export const FRESH_DEFAULTS = {
  layerSize: 64 << 20,
  compression: { kind: "gzip", level: null },
} as const satisfies FreshOptions;

/** Options for the lower layers. */
export interface LowerOptions {
  readonly plan: DigestPlan;
  /** Only for a directory. */
  readonly fresh: FreshOptions;
  /** Creation time of fresh layers; null: not recorded. */
  readonly time: Date | null;
  /** Only for an image; null: its layers go into the new image unchanged. */
  readonly recompress: Recompression | null;
  /** How the root filesystem is prepared before its digest is computed. */
  readonly prepare: PrepareRootfs;
  /** See `Reading`. */
  readonly beforeDigests?: Reading["beforeDigests"];
  /** Whether trees stay in memory until the new image is read back. */
  readonly keepsTrees: boolean;
  /** Aborts the reading of an image with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** A root filesystem that has been read and digested, and whose layers are in the new image. */
export interface LowerLayers {
  /** Names the source in messages. */
  readonly subject: string;
  /** Its root filesystem still has the kernel. */
  readonly computed: RootfsDigests;
  readonly prepared: PreparedRootfs;
  /** The root filesystem that the layers in the new image make. */
  readonly below: Rootfs;
  /** The part of the preparation that is not in these layers. */
  readonly changes: FileChanges;
  /** Lowest first. */
  readonly layers: readonly StoredLayer[];
  readonly origin: "carried" | "made";
  /** Those of {@link layers} whose bytes changed. */
  readonly rewritten: readonly RewrittenLayer[];
  /** What was read from those whose bytes did not change. */
  readonly memory: LayerMemory;
  /** How each is stored now, if it was read from an image. */
  readonly forms: readonly LayerForm[];
  /** The documents that the new image's are made from. @param arch of its kernel */
  readonly image: (arch: EfiArch) => StoredImage<Layer>;
}

/**
 * Whether a registry gets the layers as they are: if they were compressed, or their form was chosen. Layers of an image
 * in a store are unpacked, and compressed on the way to a registry, as podman and docker do it.
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
  { plan, recompress, prepare, beforeDigests, keepsTrees, signal }: LowerOptions,
  ports: Ports,
): Promise<LowerLayers> {
  const carried: StoredLayer[] = [];
  // Of rewritten layers in between, the tree of all does not say what the others hold.
  const memory = new LayerMemory(keepsTrees && recompress === null ? "trees" : "layers");
  const computed = await digestRootfs(source, plan, ports, {
    memory,
    // All layers are read before the new image gets its name: either now, and read-back only hashes them, or at
    // read-back, if they differ.
    cacheUse: recompress === null ? "fill" : "take",
    treeToDigest: imageTreeToDigest(source, { plan, prepare }, ports),
    // Which ones are recompressed is known only when all have been read.
    meanwhile:
      recompress !== null
        ? undefined
        : async (stored, ended) => {
            carried.push(...(await carryLayers(stored, staged, ended)));
          },
    beforeDigests,
    signal,
  });
  const { image, rootfs: below, forms = [] } = computed;
  const prepared = await prepare(below);
  const rewritten = recompress === null ? [] : layersToRewrite(image.layers, forms, recompress, plan);
  // They are in place, and from here on one thread alone has much to do. Others that go into the image are read whole.
  if (recompress === null) staged.readBack?.begin(carried, plan.jobs);
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
  { plan, fresh, time, prepare, beforeDigests }: LowerOptions,
  ports: Ports,
): Promise<LowerLayers> {
  const { layerSize = FRESH_DEFAULTS.layerSize, compression = FRESH_DEFAULTS.compression, configFrom } = fresh;
  const configuration = configFrom === undefined ? null : await givenConfiguration(configFrom, ports);
  const computed = await digestRootfs(source, plan, ports, {
    treeToDigest: imageTreeToDigest(source, { plan, prepare }, ports),
    beforeDigests,
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

/** Contents of new files, and of all others as they are on disk. */
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

/** Documents for an image that has these layers and nothing else. */
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
