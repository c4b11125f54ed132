/** What of a root filesystem the sealed image will hold. */
import { withoutTakenOut } from "../boot/sealed-layers.ts";
import { withoutRawKernels } from "../boot/without-kernel.ts";
import type { Context } from "../cli/context.ts";
import { directoryOf } from "../cli/options/fresh.ts";
import { SealError } from "../errors.ts";
import { isLayers } from "../io/rootfs-source.ts";
import { canonicalTree } from "../tree/canonical.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import type { TransformOptions } from "../tree/transform.ts";

/**
 * The tree that a sealed image made of this one has, and whose digest its UKI names: without raw kernels; of a directory what a
 * fresh image takes over, see {@link canonicalTree}.
 * @param spec ROOTFS argument
 * @param xattrs which of a directory's are taken over
 * @throws SealError `usage` for what is neither an image nor a directory
 */
export function imageShape(
  context: Context,
  spec: string,
  xattrs: TransformOptions["xattrs"],
): (rootfs: Rootfs, told: Rootfs) => Rootfs {
  if (isLayers(spec)) return withoutTakenOut;
  if (directoryOf(spec) === null) {
    const kinds = "oci:, oci-archive:, docker-archive:, docker://, containers-storage:";
    throw new SealError("usage", `--from ${spec}: give an image (${kinds}) or dir:PATH`);
  }
  return (rootfs) => {
    const { root, notes } = canonicalTree(rootfs.root, xattrs, rootfs.label);
    for (const note of notes) context.ui.warn(note);
    return withoutRawKernels({ ...rootfs, root });
  };
}
