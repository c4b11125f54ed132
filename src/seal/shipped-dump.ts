/** The dump file shipped with a sealed root filesystem, so that bootc can show what differs on the machine. */
import type { Chunks } from "../chunks.ts";
import { seriesOf } from "../composefs/named-release.ts";
import { transformTree } from "../tree/apply.ts";
import { withoutBoot } from "../tree/bootable.ts";
import { writeDumpfile } from "../tree/dumpfile.ts";
import type { RootfsDigests } from "./digest.ts";

/**
 * A root filesystem as a composefs dump file. It is the tree that bootc has when a digest does not match the UKI, byte
 * for byte as `cfsctl oci dump` writes that of an image: the tree of the layers, without the SELinux labels that are
 * added for the digest. With labels, the `diff` that bootc prints would list every file
 * (crates/lib/src/bootc_composefs/boot.rs, `print_uki_dumpfile_diff`). `/boot` is empty: the dump file and the UKI will
 * be there.
 * @throws SealError `input` when the tree lacks what a container's root has
 */
export async function shippedDump({
  digestedTree,
  mtime,
  plan: {
    transform: { xattrs },
  },
}: Pick<RootfsDigests, "digestedTree" | "mtime" | "plan">): Promise<Chunks> {
  const { rules } = seriesOf("latest");
  const root = await transformTree(digestedTree, { transform: "oci", xattrs, mtime, rules });
  return [...writeDumpfile(withoutBoot(root))];
}
