/** What the lowest layers of an image make together, which other layers can come on top of. */
import type { StoredForm } from "../../oci/layer-form.ts";
import type { Directory, RegularFile } from "../../tree/node.ts";
import type { LayeredTree } from "../../tree/tree-codec.ts";

/** The tree that layers make, and what else is known of them when all have been read. */
export interface LayerStack extends Pick<LayeredTree, "placeOf"> {
  /** Null: of no layers. */
  readonly root: Directory | null;
  /** How each layer is stored, lowest first. */
  readonly forms: readonly StoredForm[];
  /** See `Rootfs.headersDiffer`. */
  readonly headersDiffer: boolean;
  /** Entries of regular files, of all layers. */
  readonly files: number;
  readonly directories: number;
  /** Contents that were kept in memory. */
  readonly kept: ReadonlyMap<RegularFile["content"], Uint8Array>;
}

export const NO_LAYERS: LayerStack = {
  root: null,
  forms: [],
  headersDiffer: false,
  files: 0,
  directories: 0,
  placeOf: () => undefined,
  kept: new Map(),
};
