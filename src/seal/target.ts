/** Checks where a sealed image may be written. */
import { resolve } from "node:path";
import { SealError } from "../errors.ts";
import { type ImageTarget, isLayout, remoteReference } from "../io/oci/image-target.ts";
import { liesIn } from "../io/paths.ts";
import type { DirectorySource, ImageSource } from "../io/rootfs-source.ts";
import type { Ports } from "./ports.ts";

/**
 * Refuses to write an image into the directory that it is made from, as it would contain itself, half written; and
 * under the name in a registry or store that it is read from: if someone tags another image with that name meanwhile,
 * that tag would be lost, and the source image would be left without a name. In a layout the tag is checked and
 * replaced in one step, so nothing is lost.
 * @throws SealError `usage`
 */
export async function refuseSource(
  source: ImageSource | DirectorySource,
  target: ImageTarget,
  { cwd }: Pick<Ports, "cwd">,
): Promise<void> {
  const { subject } = target;
  if (!isLayout(target)) {
    const name = remoteReference(subject);
    if (name === null || remoteReference(source.subject) !== name) return;
    throw new SealError("usage", `--to ${subject}: is the image to be sealed; give the sealed one another tag`);
  }
  if (source.kind !== "dir" || !(await liesIn(target.path, resolve(cwd, source.path)))) return;
  throw new SealError(
    "usage",
    `--to ${subject}: is in ${source.path}, which is to be sealed; give a path outside of it`,
  );
}
