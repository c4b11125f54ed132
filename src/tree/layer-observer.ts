/** What the layers of an image have that the tree made of them does not show. */
import { displayBytes, latin1 } from "../bytes.ts";
import type { LayerEntry } from "./build.ts";
import { type ExternalContent, type InlineContent, splitPath } from "./node.ts";

/**
 * Is notified while layers are read; layers by their number, lowest first from 0; paths readable, names joined by `/`.
 */
export interface LayerObserver {
  /** Whether {@link content} is to be called for a file; it is read into memory then, so it had better be small. */
  readonly wants: (path: Uint8Array, size: bigint) => boolean;
  /** A wanted file. Those of one layer come in order; several layers are read at a time. */
  readonly content: (layer: number, path: string, content: InlineContent | ExternalContent, bytes: Uint8Array) => void;
  /** All entries of a layer, in order. Layers come in order. */
  readonly layer: (layer: number, entries: readonly LayerEntry[]) => void;
  /** A file of a layer that the same or a later one removes or replaces. */
  readonly hidden: (file: HiddenFile) => void;
  /** A directory without an entry of its own before what is in it. bootc refuses such images. */
  readonly implied: (layer: number, path: string) => void;
  /** An entry that a later whiteout in the same layer removes: for bootc, but not for container engines. */
  readonly ownWhiteout: (layer: number, path: string) => void;
}

/** A file of a lower layer that an upper layer hides. */
export interface HiddenFile {
  /** Where its content is. */
  readonly layer: number;
  /** Which one hides it. */
  readonly hiddenBy: number;
  readonly path: string;
  /** The same object as in the tree, where the file has other names. */
  readonly content: InlineContent | ExternalContent;
}

const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";

/**
 * Entries that a later whiteout of the same layer names or has above it. The OCI image specification lets whiteouts
 * apply to lower layers only; composefs-rs lets them apply to whatever came before.
 * @param entries of one layer, in order
 * @returns readable paths
 */
export function ownWhiteouts(entries: readonly Pick<LayerEntry, "path">[]): string[] {
  // Most layers have none, and some have a million entries.
  if (!entries.some(({ path }) => latin1(path).includes(WHITEOUT))) return [];
  const removed = new Map<string, number>();
  const emptied = new Map<string, number>();
  const paths = entries.map(({ path }) => splitPath(path).map(latin1));
  for (const [index, names] of paths.entries()) {
    const last = names.at(-1) ?? "";
    const directory = names.slice(0, -1);
    if (last === OPAQUE) emptied.set(directory.join("/"), index);
    else if (last.startsWith(WHITEOUT)) removed.set([...directory, last.slice(WHITEOUT.length)].join("/"), index);
  }
  const isRemoved = (names: readonly string[], index: number) => {
    let above = "";
    for (const name of names) {
      if ((emptied.get(above) ?? -1) > index) return true;
      above = above === "" ? name : `${above}/${name}`;
      if ((removed.get(above) ?? -1) > index) return true;
    }
    return false;
  };
  return paths.flatMap((names, index) =>
    !names.at(-1)?.startsWith(WHITEOUT) && isRemoved(names, index)
      ? [displayBytes(Buffer.from(names.join("/"), "latin1"))]
      : [],
  );
}
