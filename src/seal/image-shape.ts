/** The tree that a sealed image will contain, and whose digest its UKI names. */
import { withoutTakenOut } from "../boot/sealed-layers.ts";
import { withoutRawKernels } from "../boot/without-kernel.ts";
import type { DirectorySource, ImageSource } from "../io/rootfs-source.ts";
import { canonicalTree } from "../tree/canonical.ts";
import type { Shape } from "./digest.ts";
import type { DigestPlan } from "./digest-plan.ts";
import type { Ports } from "./ports.ts";

/** The tree of an image without raw kernels and what is in `/boot`; of a directory what a fresh image takes over, see {@link canonicalTree}. */
export function imageShape(
  source: ImageSource | DirectorySource,
  { transform: { xattrs } }: Pick<DigestPlan, "transform">,
  { warn }: Pick<Ports, "warn">,
): Shape {
  if (source.kind !== "dir") return withoutTakenOut;
  return (rootfs) => {
    const { root, notes } = canonicalTree(rootfs.root, xattrs, rootfs.label);
    for (const note of notes) warn(note);
    return withoutRawKernels({ ...rootfs, root });
  };
}
