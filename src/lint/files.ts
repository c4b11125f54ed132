/** Finds the places in a tree that rules look at. A symlink as the last component of a path is not followed. */
import { displayBytes, escapeControls, latin1, utf8 } from "../bytes.ts";
import { contentSize, lookup, type Node, type RegularFile } from "../tree/node.ts";
import type { Rootfs } from "../tree/rootfs.ts";

/** The node at a path, symlinks not followed; null when there is none. */
export function nodeAt(rootfs: Pick<Rootfs, "root">, path: string): Node | null {
  let node: Node = rootfs.root;
  for (const name of path.split("/")) {
    const next: Node | undefined = node.kind === "directory" ? lookup(node, utf8(name)) : undefined;
    if (next === undefined) return null;
    node = next;
  }
  return node;
}

/** Something in the tree. */
export interface Place {
  /** One name each, as bytes. */
  readonly components: readonly Uint8Array[];
  readonly node: Node;
}

/**
 * Everything below a directory, depth first, without the directory itself.
 * @param path of the directory; `""` is the root
 * @param enter whether a directory below is entered; default: all are
 */
export function* walk(
  rootfs: Pick<Rootfs, "root">,
  path: string,
  enter: (components: readonly Uint8Array[]) => boolean = () => true,
): Generator<Place> {
  const start = path === "" ? rootfs.root : nodeAt(rootfs, path);
  if (start?.kind !== "directory") return;
  const prefix = path === "" ? [] : path.split("/").map(utf8);
  const pending: Place[] = start.entries.map(({ name, node }) => ({ components: [...prefix, name], node })).reverse();
  for (let place = pending.pop(); place !== undefined; place = pending.pop()) {
    yield place;
    const { node, components } = place;
    if (node.kind !== "directory" || !enter(components)) continue;
    for (let index = node.entries.length - 1; index >= 0; index--) {
      const entry = node.entries[index];
      if (entry !== undefined) pending.push({ components: [...components, entry.name], node: entry.node });
    }
  }
}

/**
 * The regular files in a directory, in the order of their names.
 * @param path of the directory; no files if it is not one
 * @param ending of their names, in ASCII
 */
export function filesIn(rootfs: Pick<Rootfs, "root">, path: string, ending: string): (Place & { node: RegularFile })[] {
  const directory = nodeAt(rootfs, path);
  const prefix = path.split("/").map(utf8);
  return (directory?.kind === "directory" ? directory.entries : []).flatMap(({ name, node }) =>
    node.kind === "regular" && latin1(name).endsWith(ending) ? [{ components: [...prefix, name], node }] : [],
  );
}

/** A path for people, without a leading slash. */
export function displayPath(components: readonly Uint8Array[]): string {
  return components.map(displayBytes).join("/");
}

/** Whether it is a regular file without content. */
export function isEmptyFile(node: Node | null): boolean {
  return node?.kind === "regular" && contentSize(node) === 0n;
}

/** Text that comes from the tree, made safe for a terminal. */
export function quote(text: string): string {
  return escapeControls(text);
}

/** `44.6 MiB`. */
export function formatMebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
