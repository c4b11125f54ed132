/**
 * Divides a tree into layers so that what did not change stays in layers that did not change. Only names decide: a
 * directory that fits into a layer goes there whole. The entries of one that doesn't are shared out by a hash of their
 * names, by its first bit in two halves, a half that is still too large by the next bit, and so on; a subdirectory that
 * is too large by itself is divided in its turn. So a file that comes, goes or changes concerns the layer that it
 * belongs to, and others only when it makes that one too large or small enough to be one with its other half.
 *
 * Each layer lists all directories on the way to its files. Those that several layers list would change all of them
 * whenever one of their entries comes or goes, because that changes their time: they have the time 0 there, and their
 * own in a last layer, which is small and lists only them. An inode with several names is in one layer with all of
 * them, that of its first name.
 */
import { createHash } from "node:crypto";
import { utf8 } from "../../bytes.ts";
import { concat } from "../../chunks.ts";
import {
  contentSize,
  type Directory,
  type Entry,
  type Leaf,
  type Metadata,
  type RegularFile,
} from "../../tree/node.ts";
import type { TarEntry } from "../tar/read.ts";

/**
 * What a layer holds, in the order of the archive: directories before what is in them, hardlinks after their target.
 */
export type PlannedLayer = readonly PlannedEntry[];

export interface PlannedEntry {
  readonly entry: TarEntry;
  /** Where the content of a regular file comes from; null for everything else. */
  readonly file: RegularFile | null;
}

/** Container storage stacks some 120 layers at most, and others come on top. */
const LAYERS_MAX = 100;
/** What an entry takes besides its content. */
const HEADER = 512;
const SLASH = utf8("/");

/**
 * @param root without sockets, which no archive can hold
 * @param limit bytes that a layer holds unpacked, about; more when a single file has more, or there would be
 *   more than 100 layers
 */
export function planLayers(root: Directory, limit: number): readonly PlannedLayer[] {
  const sizes = measure(root);
  let groups = divide(root, sizes, limit);
  for (let larger = limit * 2; groups.length > LAYERS_MAX; larger *= 2) groups = divide(root, sizes, larger);
  return collect(root, groups);
}

type Sizes = ReadonlyMap<Entry, number>;

/** What each entry takes in an archive, with everything below it. */
function measure(root: Directory): Sizes {
  const sizes = new Map<Entry, number>();
  const counted = new Set<Leaf>();
  const sizeOf = ({ node }: Entry): number => {
    if (node.kind === "directory") return HEADER + sumBelow(node);
    if (node.kind !== "regular" || counted.has(node)) return HEADER;
    counted.add(node);
    return HEADER + Number(contentSize(node));
  };
  const sumBelow = (directory: Directory): number => {
    let sum = 0;
    for (const entry of directory.entries) {
      const size = sizeOf(entry);
      sizes.set(entry, size);
      sum += size;
    }
    return sum;
  };
  sumBelow(root);
  return sizes;
}

/** Entries that go into a layer together, each with all that is below it. */
type Group = readonly Entry[];

function divide(directory: Directory, sizes: Sizes, limit: number): Group[] {
  const sizeOf = (entry: Entry) => sizes.get(entry) ?? 0;
  const isTooLarge = (entry: Entry) =>
    sizeOf(entry) > limit && entry.node.kind === "directory" && entry.node.entries.length > 0;
  const halve = (entries: readonly HashedEntry[], bit: number): Group[] => {
    const size = entries.reduce((sum, { entry }) => sum + sizeOf(entry), 0);
    if (entries.length === 0) return [];
    if (size <= limit || entries.length === 1) return [entries.map(({ entry }) => entry)];
    const hasBit = ({ hash }: HashedEntry) => (((hash[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1) === 1;
    return [
      ...halve(
        entries.filter((one) => !hasBit(one)),
        bit + 1,
      ),
      ...halve(entries.filter(hasBit), bit + 1),
    ];
  };
  const fitting = directory.entries.filter((entry) => !isTooLarge(entry));
  const groups = halve(
    fitting.map((entry) => ({ entry, hash: sha256(entry.name) })),
    0,
  );
  for (const { node } of directory.entries.filter(isTooLarge)) {
    if (node.kind === "directory") groups.push(...divide(node, sizes, limit));
  }
  return groups;
}

interface HashedEntry {
  readonly entry: Entry;
  readonly hash: Uint8Array;
}

function sha256(name: Uint8Array): Uint8Array {
  return createHash("sha256").update(name).digest();
}

/** A directory while what it holds is put into layers. */
interface Place {
  readonly path: Uint8Array;
  readonly directory: Directory;
  readonly parent: Place | null;
  /** The layers that have this directory, and where in them. */
  readonly listed: Map<PlannedEntry[], number>;
}

function collect(root: Directory, groups: readonly Group[]): readonly PlannedLayer[] {
  const layers: PlannedEntry[][] = groups.length === 0 ? [[]] : groups.map(() => []);
  const assigned = new Map<Entry, PlannedEntry[]>();
  for (const [index, group] of groups.entries()) {
    for (const entry of group) assigned.set(entry, layers[index] as PlannedEntry[]);
  }
  const firsts = new Map<Leaf, { readonly path: Uint8Array; readonly layer: PlannedEntry[] }>();
  const list = (place: Place, layer: PlannedEntry[]) => {
    if (place.listed.has(layer)) return;
    if (place.parent !== null) list(place.parent, layer);
    place.listed.set(layer, layer.length);
    layer.push(planned(place.path, place.directory, { kind: "directory" }));
  };
  const places: Place[] = [];
  const visit = (place: Place, inherited: PlannedEntry[] | undefined) => {
    places.push(place);
    for (const entry of place.directory.entries) {
      const { name, node } = entry;
      const path = place.path.length === 0 ? name : concat([place.path, SLASH, name]);
      const own = inherited ?? assigned.get(entry);
      if (node.kind === "directory") {
        const child = { path, directory: node, parent: place, listed: new Map<PlannedEntry[], number>() };
        if (own !== undefined) list(child, own);
        visit(child, own);
        continue;
      }
      const first = firsts.get(node);
      const layer = first?.layer ?? own;
      if (layer === undefined) throw new Error("an entry is in no layer");
      if (first === undefined) firsts.set(node, { path, layer });
      list(place, layer);
      layer.push(first === undefined ? plannedLeaf(path, node) : linkTo(first.path, path, node));
    }
  };
  const top: Place = { path: new Uint8Array(), directory: root, parent: null, listed: new Map() };
  for (const layer of layers) list(top, layer);
  visit(top, undefined);
  // Nothing but the root is left where all names are further names of files in other layers.
  const filled = layers.filter((layer) => layer.length > 1);
  if (filled.length <= 1) return filled.length === 1 ? filled : layers.slice(0, 1);
  return [...filled, shareDirectories(places.filter(({ listed }) => listed.size > 1))];
}

/** Takes the times of directories that several layers list out of them. @returns the layer that has them */
function shareDirectories(places: readonly Place[]): PlannedLayer {
  return places.map(({ path, directory, listed }) => {
    for (const [layer, index] of listed) {
      layer[index] = planned(path, { ...directory, mtimeSec: 0n, mtimeNsec: 0 }, { kind: "directory" });
    }
    return planned(path, directory, { kind: "directory" });
  });
}

function plannedLeaf(path: Uint8Array, node: Leaf): PlannedEntry {
  switch (node.kind) {
    case "regular":
      return { entry: { path, metadata: node, item: { kind: "regular", content: contentSize(node) } }, file: node };
    case "symlink":
      return planned(path, node, { kind: "symlink", target: node.target });
    case "char":
    case "block":
      return planned(path, node, { kind: node.kind, rdev: node.rdev });
    case "fifo":
      return planned(path, node, { kind: "fifo" });
    case "socket":
      throw new Error("an archive can't store a socket");
  }
}

function linkTo(target: Uint8Array, path: Uint8Array, node: Leaf): PlannedEntry {
  return planned(path, node, { kind: "hardlink", target });
}

function planned(path: Uint8Array, metadata: Metadata, item: TarEntry["item"]): PlannedEntry {
  return { entry: { path, metadata, item }, file: null };
}
