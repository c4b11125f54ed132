/**
 * Layers to a root filesystem: each layer is read once, as a stream, and its files are hashed as they pass. Nothing is
 * unpacked to disk, and memory holds metadata only, whatever the size of files and layers.
 */
import type { LayerForm } from "../../oci/layer-form.ts";
import { TreeBuilder } from "../../tree/build.ts";
import type { LayerContents } from "../../tree/layer-contents.ts";
import { ownWhiteouts } from "../../tree/layer-observer.ts";
import type { RegularFile } from "../../tree/node.ts";
import type { Rootfs } from "../../tree/rootfs.ts";
import type { ScanStats } from "../scan.ts";
import type { Layer } from "./layer.ts";
import { layerForm } from "./layer-form.ts";
import { type LayersOptions, LayersReader } from "./layers-reader.ts";

export interface OpenedLayers<Prepared> {
  readonly rootfs: Rootfs;
  readonly stats: Readonly<ScanStats>;
  readonly forms: readonly LayerForm[];
  readonly prepared: Prepared;
}

/**
 * The root filesystem that layers make, applied one after the other onto an empty root.
 * @param layers lowest first
 * @param prepare work on it that is done while layers are hashed of which it is known what they hold. When this
 *   function has ended, all have their digests.
 * @throws SealError `input` as {@link LayersReader} and {@link TreeBuilder} do
 */
export async function openLayers<Prepared>(
  layers: readonly Layer[],
  options: LayersOptions,
  prepare: (rootfs: Rootfs) => Promise<Prepared>,
): Promise<OpenedLayers<Prepared>> {
  const { subject, view, observer } = options;
  const reader = await LayersReader.of(layers, options);
  let current = 0;
  const { below } = reader;
  const watcher = observer === undefined ? null : reader.watcher(observer, () => current);
  let builder = new TreeBuilder(subject, watcher, below.root);
  const forms = below.forms.map((form, layer) => layerForm(layers[layer] as Layer, form));
  const add = (contents: LayerContents, layer: number) => {
    const { entries } = contents;
    current = layer;
    forms.push(layerForm(layers[layer] as Layer, contents));
    for (const entry of entries) builder.add(entry);
    if (observer !== undefined) {
      observer.layer(layer, entries);
      for (const path of ownWhiteouts(entries)) observer.ownWhiteout(layer, path);
    } else if (layer + 1 === reader.worthKeeping && layer + 1 < layers.length) {
      const root = builder.finish();
      reader.noteTree(root, forms);
      builder = new TreeBuilder(subject, null, root);
    }
  };
  const readContent: Rootfs["readContent"] = (_, file) => reader.readContent(file);
  const keptContent = (file: RegularFile) => reader.keptContent(file);
  const opened = await reader.readAll(add, async () => {
    const { headersDiffer } = reader;
    const root = builder.finish();
    const rootfs: Rootfs = { subject, root, view, headersDiffer, readContent, keptContent, labels: reader.labels };
    return { rootfs, prepared: await prepare(rootfs) };
  });
  await reader.remember(opened.rootfs.root, forms);
  return { ...opened, stats: reader.stats, forms };
}
