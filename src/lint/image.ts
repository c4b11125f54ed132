/** What rules see of a container image apart from its tree. */
import type { TreeRecord } from "../composefs/tree-record.ts";
import type { LayerStep } from "../oci/history.ts";
import type { LayerForm } from "../oci/layer-form.ts";
import type { ImageConfig } from "../oci/schemas.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import type { LayerHistory } from "./layer-history.ts";

/** What lint rules see of an image apart from its tree. */
export interface LintImage {
  readonly config: ImageConfig;
  /** Lowest first. */
  readonly layers: readonly LintLayer[];
  readonly history: LayerHistory;
  /** The build step that made each layer, lowest first; null: the image does not say. */
  readonly steps: readonly (LayerStep | null)[];
  /** When the image was made, RFC 3339; null: it does not say. */
  readonly created: string | null;
  /** Records of the root filesystem that was sealed, from the image itself and from a report of the build. */
  readonly records: readonly RecordOf[];
  /** A mount of the same image, to compare with; null: none was given. */
  readonly mounted: Rootfs | null;
}

/** A record of a root filesystem, with the digests that its UKI got. */
export interface RecordOf extends TreeRecord {
  readonly digests: readonly string[];
}

/** A layer as lint rules see it. */
export interface LintLayer {
  /** Its digest, `sha256:…`; null where the image does not say. */
  readonly digest: string | null;
  /** As it is stored, in bytes. */
  readonly size: number;
  /** Null: not known. */
  readonly form: LayerForm | null;
}

/** Where findings about labels and platform are shown, as they are in no file of the tree. */
export const IMAGE_CONFIGURATION = "image configuration";

/** `layer 2 of 5 (sha256:12ab34cd…)`; people count from 1. */
export function layerName({ layers }: Pick<LintImage, "layers">, layer: number): string {
  const digest = layers[layer]?.digest ?? null;
  return `layer ${layer + 1} of ${layers.length}${digest === null ? "" : ` (${digest.slice(0, 15)}…)`}`;
}

/** The label that tells tools that an image is bootable, and whether it is sealed. */
export const BOOTC_LABEL = "containers.bootc";
/** Its value where the image is sealed; for other bootable images it is `1`. */
export const SEALED_VALUE = "sealed";

export function isLabelledSealed(image: LintImage | null): boolean {
  return image?.config.config?.Labels?.[BOOTC_LABEL] === SEALED_VALUE;
}
