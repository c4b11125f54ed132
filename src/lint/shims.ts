/**
 * shim in a root filesystem, which bootupd puts onto the ESP in front of the boot loader, and which starts other
 * programs by its own rules.
 */
import { displayBytes } from "../bytes.ts";
import { type PeImage, parsePe } from "../pe/headers.ts";
import { PROGRAM_LIMIT, type Rootfs, readNode } from "../tree/rootfs.ts";
import { displayPath, type Place, walk } from "./files.ts";

/** Where distributions put it. */
const PLACES = ["usr/lib/bootupd/updates", "usr/lib/efi", "usr/lib/shim"];
const NAME = /^shim[a-z0-9]*\.efi(?:\.signed)?$/i;

export interface Shim {
  readonly path: string;
  readonly name: string;
  readonly pe: PeImage;
}

function* shimPlaces(rootfs: Pick<Rootfs, "root">): Generator<Place & { readonly name: string }> {
  for (const place of PLACES) {
    for (const { components, node } of walk(rootfs, place)) {
      const name = displayBytes(components.at(-1) ?? new Uint8Array());
      if (NAME.test(name)) yield { components, node, name };
    }
  }
}

/** Whether the tree has shim. */
export function hasShim(rootfs: Pick<Rootfs, "root">): boolean {
  return !shimPlaces(rootfs).next().done;
}

/** @throws SealError `input` for one that can't be read or is not a PE file */
export async function readShims(rootfs: Rootfs): Promise<readonly Shim[]> {
  const shims: Shim[] = [];
  for (const { components, node, name } of shimPlaces(rootfs)) {
    if (node.kind !== "regular") continue;
    const path = displayPath(components);
    const bytes = await readNode(rootfs, components, node, PROGRAM_LIMIT);
    shims.push({ path, name, pe: parsePe([bytes], path) });
  }
  return shims;
}
