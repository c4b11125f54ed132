/** Where a sealed image comes from: another image, whose layers are carried over, or a directory, of which layers are made. */
import { resolve } from "node:path";
import type { Context } from "../cli/context.ts";
import { directoryOf, type FreshOptions } from "../cli/options/fresh.ts";
import { startBytes } from "../cli/terminal/progress.ts";
import { inputError, SealError } from "../errors.ts";
import { sourceDate } from "../io/host.ts";
import { carryLayers } from "../io/oci/carried-layers.ts";
import { parseCompression } from "../io/oci/compress.ts";
import { writeLayers } from "../io/oci/fresh-layers.ts";
import { openStoredImage } from "../io/oci/image.ts";
import type { ImageTarget } from "../io/oci/image-target.ts";
import type { StagedImage } from "../io/oci/image-writer.ts";
import type { Layer } from "../io/oci/layer.ts";
import { readFrom } from "../io/oci/layer-archive.ts";
import { planLayers } from "../io/oci/layer-plan.ts";
import { liesIn } from "../io/paths.ts";
import { parseRootfsSpec } from "../io/rootfs-source.ts";
import { editConfig, type ImageLayer, newConfig, type StoredLayer } from "../oci/edit.ts";
import { formatJson, type JsonObject } from "../oci/json.ts";
import { parseConfig, type StoredImage } from "../oci/schemas.ts";
import { type EfiArch, goArchOf } from "../pe/arch.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import type { TransformOptions } from "../tree/transform.ts";
import type { Reading, RootfsDigests } from "./digest.ts";
import { imageShape } from "./image-shape.ts";
import { rfc3339 } from "./written-image.ts";

export interface SourceOptions extends FreshOptions {
  readonly from: string;
  /** Which of a directory's are taken over. */
  readonly xattrs: TransformOptions["xattrs"];
}

/** A source that has been read, and whose layers lie in the new image. */
export interface ImageSource<Inputs> {
  /** What reading gave; its root filesystem still has the kernel. */
  readonly inputs: Inputs & { readonly computed: RootfsDigests };
  /** The root filesystem that the layers in the new image make. */
  readonly below: Rootfs;
  /** Those layers, lowest first. */
  readonly carried: readonly StoredLayer[];
  readonly origin: "carried" | "made";
  /** The documents that the new image's are made from. @param arch of its kernel */
  readonly image: (arch: EfiArch) => StoredImage<Layer>;
}

/**
 * Refuses to write an image into the directory that it is made of: it would hold itself, half written.
 * @param from what `--from` names
 * @throws SealError `usage`
 */
export async function refuseInside(context: Context, from: string, target: ImageTarget): Promise<void> {
  const directory = directoryOf(from);
  if (directory === null) return;
  if (!(await liesIn(target.path, resolve(context.host.cwd, directory)))) return;
  throw new SealError(
    "usage",
    `--to ${target.label}: lies in ${directory}, which is sealed; give a path outside of it`,
  );
}

/**
 * Reads what `--from` names and puts its layers into an image.
 * @param read does the reading
 * @throws SealError `usage` for options that don't fit, `input` for what can't be read or be an image
 */
export async function readSource<Inputs extends { readonly rootfs: Rootfs; readonly computed: RootfsDigests | null }>(
  context: Context,
  options: SourceOptions,
  staged: StagedImage,
  read: (reading: Reading) => Promise<Inputs>,
): Promise<ImageSource<Inputs>> {
  const directory = directoryOf(options.from);
  if (directory !== null) return readDirectory(context, directory, options, staged, read);
  const carried: StoredLayer[] = [];
  const meanwhile: Reading["meanwhile"] = async (layers, signal) => {
    carried.push(...(await carryLayers(layers, staged, signal)));
  };
  const shape = imageShape(context, options.from, options.xattrs);
  const inputs = withDigests(await read({ shape, meanwhile }));
  const { rootfs, computed } = inputs;
  const { image } = computed;
  if (image === null) throw new Error("an image was read, but not as one");
  return { inputs, below: rootfs, carried, origin: "carried", image: () => image };
}

async function readDirectory<Inputs extends { readonly rootfs: Rootfs; readonly computed: RootfsDigests | null }>(
  context: Context,
  directory: string,
  options: SourceOptions,
  staged: StagedImage,
  read: (reading: Reading) => Promise<Inputs>,
): Promise<ImageSource<Inputs>> {
  const { host } = context;
  const { from } = options;
  const compression = parseCompression(options.compression);
  const configuration = await givenConfiguration(context, options.configFrom);
  const inputs = withDigests(await read({ shape: imageShape(context, from, options.xattrs) }));
  const { shaped } = inputs.computed;
  const time = sourceDate(host.env);
  const created = time === null ? null : rfc3339(time);
  const progress = startBytes(context, "writing layers");
  const layers = await writeLayers(staged.blobs, planLayers(shaped.root, options.layerSize), {
    readContent: readFrom(resolve(host.cwd, directory)),
    compression,
    label: from,
    history: { created, createdBy: "seal image: a part of the root filesystem", comment: null },
    onProgress: progress.onBytes,
  });
  progress.done(layers.reduce((sum, { size }) => sum + size, 0));
  return {
    inputs,
    below: shaped,
    carried: layers,
    origin: "made",
    image: (arch) => freshImage(from, configuration, layers, created, arch),
  };
}

function withDigests<Inputs extends { readonly computed: RootfsDigests | null }>(
  inputs: Inputs,
): Inputs & { readonly computed: RootfsDigests } {
  const { computed } = inputs;
  if (computed === null) throw new Error("an image can't be sealed without its digests");
  return { ...inputs, computed };
}

/** What `--config-from` names: a configuration without its layers; null without it. */
async function givenConfiguration(context: Context, from: string | undefined): Promise<JsonObject | null> {
  if (from === undefined) return null;
  const spec = parseRootfsSpec(from);
  if (!("reference" in spec)) {
    throw new SealError("usage", `--config-from ${from}: give an image, as oci:PATH[:TAG]`);
  }
  const { host, remote } = context;
  const { documents } = await openStoredImage(spec, from, { cwd: host.cwd, remote });
  return { ...documents.config, rootfs: { type: "layers", diff_ids: [] }, history: [] };
}

/** The documents of an image that has these layers and nothing else. */
function freshImage(
  from: string,
  configuration: JsonObject | null,
  layers: readonly ImageLayer[],
  created: string | null,
  arch: EfiArch,
): StoredImage<Layer> {
  const architecture = goArchOf(arch);
  if (architecture === null) throw inputError(from, `has a kernel for ${arch}, which no image can be for`);
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
