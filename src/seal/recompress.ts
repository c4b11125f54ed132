/**
 * Recompresses layers of the image that is sealed, so that all intended hosts can unpack them. The archives in them,
 * and with them the digests, stay the same.
 */
import { joinSeries } from "../boot/hosts-text.ts";
import { SERIES } from "../composefs/releases.ts";
import { carryLayers } from "../io/oci/carried-layers.ts";
import type { StagedImage } from "../io/oci/image-writer.ts";
import type { Layer } from "../io/oci/layer.ts";
import { rewriteLayers } from "../io/oci/rewritten-layers.ts";
import type { StoredLayer } from "../oci/edit.ts";
import type { LayerForm } from "../oci/layer-form.ts";
import type { DigestPlan } from "./digest-plan.ts";
import type { Ports } from "./ports.ts";

/**
 * Which layers of an image are recompressed: `needed`: those that a release of the plan can't unpack, or any release if
 * the plan names none; `all`: all that are compressed.
 */
export type Recompression = "needed" | "all";

/** A layer that was recompressed. */
export interface RewrittenLayer {
  /** Of the layer, from 0 for the lowest. */
  readonly index: number;
  /** Its form before. */
  readonly before: Layer;
  /** What was wrong with it; null: nothing, as all layers were recompressed. */
  readonly why: string | null;
}

/** @param forms of the layers, lowest first @param plan names the releases */
export function layersToRewrite(
  layers: readonly Layer[],
  forms: readonly LayerForm[],
  recompress: Recompression,
  { hosts }: Pick<DigestPlan, "hosts">,
): RewrittenLayer[] {
  const served = hosts.length === 0 ? SERIES : hosts;
  const concerned = served.filter((series) => series.layers === "first");
  return layers.flatMap((before, index): RewrittenLayer[] => {
    const form = forms[index];
    if (form === undefined || form.compression === "none") return [];
    const isNeeded = !form.isOnePart && concerned.length > 0;
    if (!isNeeded) return recompress === "all" ? [{ index, before, why: null }] : [];
    const parts = form.compression === "zstd" ? "Zstandard frames" : "gzip members";
    return [{ index, before, why: `had several ${parts}, which bootc ${joinSeries(concerned)} can't unpack` }];
  });
}

/**
 * Puts the layers of an image into another one, some of them recompressed.
 * @returns all of them, lowest first
 * @throws SealError `input` as {@link carryLayers} and {@link rewriteLayers}
 */
export async function rewriteSome(
  layers: readonly Layer[],
  rewritten: readonly RewrittenLayer[],
  staged: StagedImage,
  ports: Ports,
): Promise<readonly StoredLayer[]> {
  const isRewritten = (index: number) => rewritten.some((one) => one.index === index);
  const same = layers.filter((_, index) => !isRewritten(index));
  const carried = [...(await carryLayers(same, staged))];
  if (rewritten.length === 0) return carried;
  const progress = ports.progress.copy("recompressing layers");
  const old = rewritten.map(({ before }) => before);
  const anew = [...(await rewriteLayers(old, staged, progress.onBytes))];
  progress.done(old.reduce((sum, { file }) => sum + file.size, 0));
  return layers.flatMap((_, index) => (isRewritten(index) ? anew : carried).splice(0, 1));
}
