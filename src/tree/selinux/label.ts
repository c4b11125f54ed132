/** Gives every node of a tree the label that a policy has for its path. */
import { compareBytes, equalBytes, latin1 } from "../../bytes.ts";
import { KeptMetadata, type MetadataChoice } from "../kept-metadata.ts";
import type { Directory, Leaf, NodeKind, Xattr } from "../node.ts";
import { leafOf, mapInodes, type Rebuilder, rebuild, XattrLists } from "../rebuild.ts";
import type { TransformRules } from "../transform.ts";
import type { LabelLookup } from "./contexts.ts";
import type { DirectoryLabels } from "./directory-index.ts";
import type { FileType } from "./lines.ts";
import { SELINUX_XATTR } from "./policy.ts";

const TYPE_CHARACTERS: Readonly<Record<NodeKind, FileType>> = {
  directory: "d",
  regular: "-",
  symlink: "l",
  char: "c",
  block: "b",
  fifo: "p",
  socket: "s",
};

/**
 * Where the walk is. The first entry of an aliased directory sees the original as it is written, the
 * others in its plain form.
 */
interface Place {
  next: string;
  readonly rest: string;
  /** Of the plain form; null where an entry's path decides. */
  readonly labels: DirectoryLabels | null;
}

/**
 * @param policy null: labels are removed everywhere
 * @param hardlinks what happens to an inode whose names get different labels
 * @param choice what else of the metadata counts
 * @returns a new tree; the given one is not changed
 */
export function applyLabels(
  root: Directory,
  policy: LabelLookup | null,
  hardlinks: TransformRules["hardlinkLabels"],
  choice: MetadataChoice = { xattrs: "all", mtime: "exact" },
): Directory {
  const kept = new KeptMetadata(choice);
  const labelled = new LabelledLists(kept);
  if (policy === null) {
    return mapInodes(root, (node) => {
      const xattrs = labelled.get(node.xattrs, null);
      const mtimeNsec = kept.mtimeNsec(node.mtimeNsec);
      return xattrs === node.xattrs && mtimeNsec === node.mtimeNsec ? node : { ...node, xattrs, mtimeNsec };
    });
  }
  const relabel = (leaf: Leaf, xattrs: readonly Xattr[]): Leaf =>
    withMetadata(leaf, xattrs, kept.mtimeNsec(leaf.mtimeNsec));
  const walk = (
    from: Directory,
    leaf: (leaf: Leaf, label: Uint8Array | null) => Leaf,
    relabelDirectory: boolean,
  ): Directory => {
    const visitor: Rebuilder<Place> = {
      enter: (directory, name, place) => {
        const { context, label } = enter(policy, place, name);
        if (!relabelDirectory) return { metadata: directory, context };
        const xattrs = labelled.get(directory.xattrs, label);
        const mtimeNsec = kept.mtimeNsec(directory.mtimeNsec);
        const isSame = xattrs === directory.xattrs && mtimeNsec === directory.mtimeNsec;
        return { metadata: isSame ? directory : { ...directory, xattrs, mtimeNsec }, context };
      },
      leaf: (node, name, place) => leaf(node, labelOf(policy, place, name, TYPE_CHARACTERS[node.kind])),
    };
    return rebuild(from, visitor, { next: "", rest: "", labels: null });
  };

  if (hardlinks === "last") {
    const last = new Map<Leaf, Uint8Array | null>();
    const note = (leaf: Leaf, label: Uint8Array | null) => {
      last.set(leaf, label);
      return leaf;
    };
    walk(root, note, false);
    const done = new Map<Leaf, Leaf>();
    const apply = (leaf: Leaf) =>
      remember(done, leaf, () => relabel(leaf, labelled.get(leaf.xattrs, last.get(leaf) ?? null)));
    return walk(root, apply, true);
  }
  const first = new Map<Leaf, Leaf>();
  return walk(
    root,
    (leaf, label) => {
      // Lists with different labels in them are different ones.
      const xattrs = labelled.get(leaf.xattrs, label);
      const known = first.get(leaf);
      if (known?.xattrs === xattrs) return known;
      const result = relabel(leaf, xattrs);
      if (known === undefined) {
        first.set(leaf, result);
        return result;
      }
      // A name with another label is a separate inode, even if its xattrs happen to be those of the original.
      return result === leaf ? { ...leaf } : result;
    },
    true,
  );
}

function withMetadata(leaf: Leaf, xattrs: readonly Xattr[], mtimeNsec: number): Leaf {
  if (xattrs === leaf.xattrs && mtimeNsec === leaf.mtimeNsec) return leaf;
  const { mode, uid, gid, mtimeSec } = leaf;
  return leafOf(leaf, { mode, uid, gid, mtimeSec, mtimeNsec, xattrs });
}

function remember(done: Map<Leaf, Leaf>, leaf: Leaf, make: () => Leaf): Leaf {
  let result = done.get(leaf);
  if (result === undefined) {
    result = make();
    done.set(leaf, result);
  }
  return result;
}

/** Whether the labels of a directory's entries follow from their names. */
function isPlain({ labels, next, rest }: Place): boolean {
  return labels !== null && next === rest;
}

/** @param name null: the root */
function enter(
  policy: LabelLookup,
  place: Place,
  name: Uint8Array | null,
): { readonly context: Place; readonly label: Uint8Array | null } {
  if (name !== null && isPlain(place)) {
    const own = latin1(name);
    const path = `${place.rest === "/" ? "" : place.rest}/${own}`;
    const label = place.labels?.lookup(name, "d") ?? null;
    return { context: { next: path, rest: path, labels: policy.directory(path, place.labels) }, label };
  }
  const path = name === null ? "/" : pathOf(policy, place, name);
  const rest = plainPath(path);
  const labels = rest.startsWith("/") ? policy.directory(rest === "/" ? "" : rest, null) : null;
  return { context: { next: path, rest, labels }, label: policy.lookup(path, "d") };
}

function labelOf(policy: LabelLookup, place: Place, name: Uint8Array, type: FileType): Uint8Array | null {
  if (place.labels !== null && isPlain(place)) return place.labels.lookup(name, type);
  return policy.lookup(pathOf(policy, place, name), type);
}

/** The path that a name is looked up by: its own, or the original that its path is an alias of. */
function pathOf(policy: LabelLookup, place: Place, name: Uint8Array): string {
  const parent = place.next;
  place.next = place.rest;
  const own = latin1(name);
  const path = parent === "" || parent.endsWith("/") ? parent + own : `${parent}/${own}`;
  return policy.alias(path) ?? path;
}

/** Without slashes and `.` components at its end, as the parent of a path comes out. */
function plainPath(path: string): string {
  let end = path.length;
  for (;;) {
    if (end > 1 && path[end - 1] === "/") end--;
    else if (end > 1 && path[end - 1] === "." && path[end - 2] === "/") end--;
    else return path.slice(0, end);
  }
}

/** What counts of xattr lists, with a label in them; equal ones are the same array. */
class LabelledLists {
  readonly #kept: KeptMetadata;
  readonly #lists = new XattrLists();
  readonly #byLabel = new Map<Uint8Array | null, Map<readonly Xattr[], readonly Xattr[]>>();

  constructor(kept: KeptMetadata) {
    this.#kept = kept;
  }

  get(list: readonly Xattr[], label: Uint8Array | null): readonly Xattr[] {
    let known = this.#byLabel.get(label);
    if (known === undefined) {
      known = new Map();
      this.#byLabel.set(label, known);
    }
    let result = known.get(list);
    if (result === undefined) {
      result = this.#lists.intern(withLabel(this.#kept.xattrs(list), label));
      known.set(list, result);
    }
    return result;
  }
}

function withLabel(list: readonly Xattr[], label: Uint8Array | null): readonly Xattr[] {
  const others = list.filter(({ name }) => !equalBytes(name, SELINUX_XATTR));
  if (label === null) return others.length === list.length ? list : others;
  const at = others.findIndex(({ name }) => compareBytes(name, SELINUX_XATTR) > 0);
  const place = at < 0 ? others.length : at;
  return [...others.slice(0, place), { name: SELINUX_XATTR, value: label }, ...others.slice(place)];
}
