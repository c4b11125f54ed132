/** The tree that a sealed image will contain, and whose digest its UKI names. */
import { sealedRootfs } from "../boot/sealed-layers.ts";
import { withoutRawKernels } from "../boot/without-kernel.ts";
import type { DirectorySource, ImageSource } from "../io/rootfs-source.ts";
import { canonicalTree } from "../tree/canonical.ts";
import type { TreeToDigest } from "./digest.ts";
import type { DigestPlan } from "./digest-plan.ts";
import type { PrepareRootfs } from "./image-preparation.ts";
import type { Ports } from "./ports.ts";

export interface ImageTreeOptions {
  readonly plan: Pick<DigestPlan, "algorithm" | "transform">;
  readonly prepare: PrepareRootfs;
}

/**
 * The prepared tree of an image without raw kernels and what is in `/boot`; for a directory, the part that a fresh
 * image contains, see {@link canonicalTree}.
 * @returns a function that throws as `prepare` does
 */
export function imageTreeToDigest(
  source: ImageSource | DirectorySource,
  { plan, prepare }: ImageTreeOptions,
  { warn }: Pick<Ports, "warn">,
): TreeToDigest {
  const { algorithm, transform } = plan;
  if (source.kind !== "dir") {
    return async (read, full) => sealedRootfs(read, { full, changes: (await prepare(full)).changes, algorithm });
  }
  return async (read) => {
    const { rootfs } = await prepare(read);
    const { root, notes } = canonicalTree(rootfs.root, transform.xattrs, rootfs.subject);
    for (const note of notes) warn(note);
    return withoutRawKernels({ ...rootfs, root });
  };
}
