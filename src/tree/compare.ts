/** Why two trees are not the same: path by path, field by field. */
import { compareBytes, displayBytes, equalBytes, toHex } from "../bytes.ts";
import { hardlinks } from "./links.ts";
import {
  contentSize,
  type Directory,
  type Entry,
  type Leaf,
  type Metadata,
  type Node,
  type RegularFile,
} from "./node.ts";

/**
 * What of a node differs. `added` and `removed`: the path is in one tree only; what a directory holds is
 * counted, not listed.
 */
export type Field =
  | "added"
  | "removed"
  | "type"
  | "mode"
  | "owner"
  | "mtime"
  | "size"
  | "content"
  | "target"
  | "device"
  | "xattr"
  | "links";

/** One difference between two trees, at one path. */
export interface Difference {
  /** Names joined by `/`, without a leading one; the root is `/`. */
  readonly path: Uint8Array;
  readonly field: Field;
  /** Values for people; null where there is none. Of an xattr `name=value`. */
  readonly a: string | null;
  readonly b: string | null;
  /** For mtime: whether the seconds are the same. */
  readonly subsecond: boolean;
  /** For mtime: whose is later, and whether it is that of a directory on both sides. */
  readonly time?: { readonly later: "a" | "b"; readonly isDirectory: boolean };
}

/** How two trees are compared. */
export interface CompareOptions {
  /** False: whole seconds are compared, for formats that keep no more. */
  readonly nanoseconds: boolean;
}

/**
 * All differences, depth first in directory order. The same trees have none; trees without any make the same image.
 * Hardlinks are compared as groups of names: their first name and their number.
 */
export function* compareTrees(a: Directory, b: Directory, options: CompareOptions): Generator<Difference> {
  const groups = { a: new Groups(a), b: new Groups(b) };
  yield* compareMetadata(SLASH, a, b, options);
  interface Frame {
    readonly prefix: Uint8Array;
    readonly pairs: Iterator<Pair>;
  }
  const stack: Frame[] = [{ prefix: new Uint8Array(), pairs: mergeEntries(a.entries, b.entries) }];
  for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
    const { value: pair, done } = frame.pairs.next();
    if (done) {
      stack.pop();
      continue;
    }
    const path = Buffer.concat([frame.prefix, (pair.a ?? pair.b).name]);
    const inA = pair.a === null ? null : describeEntry(pair.a, path, groups.a);
    const inB = pair.b === null ? null : describeEntry(pair.b, path, groups.b);
    if (pair.a === null || pair.b === null) {
      yield difference(path, pair.a === null ? "added" : "removed", inA?.text ?? null, inB?.text ?? null);
      continue;
    }
    const [left, right] = [pair.a.node, pair.b.node];
    yield* compareNodes(path, left, right, options);
    if (inA?.links !== inB?.links) yield difference(path, "links", inA?.links ?? null, inB?.links ?? null);
    if (left.kind === "directory" && right.kind === "directory" && left !== right) {
      stack.push({ prefix: Buffer.concat([path, SLASH]), pairs: mergeEntries(left.entries, right.entries) });
    } else if (left.kind === "directory" && left === right) {
      groups.a.enter(left, path);
      groups.b.enter(left, path);
    }
  }
}

type Pair =
  | { readonly a: Entry; readonly b: Entry }
  | { readonly a: Entry; readonly b: null }
  | { readonly a: null; readonly b: Entry };

const SLASH = Uint8Array.of(0x2f);

/** Entries of the same name together, all in directory order. */
function* mergeEntries(a: readonly Entry[], b: readonly Entry[]): Generator<Pair> {
  for (let i = 0, j = 0; ; ) {
    const left = a[i];
    const right = b[j];
    if (left === undefined && right === undefined) return;
    const order = left === undefined ? 1 : right === undefined ? -1 : compareBytes(left.name, right.name);
    if (order <= 0) i++;
    if (order >= 0) j++;
    if (order < 0 && left !== undefined) yield { a: left, b: null };
    else if (order > 0 && right !== undefined) yield { a: null, b: right };
    else if (left !== undefined && right !== undefined) yield { a: left, b: right };
  }
}

/** The first names of inodes with several, as the walk comes by. */
class Groups {
  readonly #links: ReturnType<typeof hardlinks>;
  readonly #first = new Map<Leaf, string>();

  constructor(root: Directory) {
    this.#links = hardlinks(root);
  }

  /** Notes the names below a directory that the walk does not enter. @returns how many entries there are */
  enter(directory: Directory, path: Uint8Array): number {
    let count = 0;
    const pending = [{ directory, path }];
    for (let place = pending.pop(); place !== undefined; place = pending.pop()) {
      const below: typeof pending = [];
      for (const { name, node } of place.directory.entries) {
        count++;
        const own = Buffer.concat([place.path, SLASH, name]);
        if (node.kind === "directory") below.push({ directory: node, path: own });
        else this.describe(node, own);
      }
      pending.push(...below.reverse());
    }
    return count;
  }

  /** Which names a file shares: null for one with a single name. */
  describe(node: Leaf, path: Uint8Array): string | null {
    const links = this.#links.get(node);
    if (links === undefined) return null;
    const first = this.#first.get(node) ?? displayBytes(path);
    this.#first.set(node, first);
    return `${links.count} names, first ${first}`;
  }
}

function describeEntry({ node }: Entry, path: Uint8Array, groups: Groups): { text: string; links: string | null } {
  const links = node.kind === "directory" ? null : groups.describe(node, path);
  return {
    links,
    get text() {
      const mode = formatMode(node);
      if (node.kind === "regular") return `regular, ${contentSize(node)} bytes, ${mode}`;
      if (node.kind === "symlink") return `symlink to ${displayBytes(node.target)}`;
      if (node.kind !== "directory") return `${node.kind}, ${mode}`;
      const below = groups.enter(node, path);
      return below === 0 ? `directory, ${mode}` : `directory, ${mode}, ${below} entries below it`;
    },
  };
}

function* compareNodes(path: Uint8Array, a: Node, b: Node, options: CompareOptions): Generator<Difference> {
  if (a === b) return;
  yield* compareMetadata(path, a, b, options);
  if (a.kind !== b.kind) {
    yield difference(path, "type", a.kind, b.kind);
  } else if (a.kind === "regular" && b.kind === "regular") {
    yield* compareText(path, "size", String(contentSize(a)), String(contentSize(b)));
    if (contentKey(a) !== contentKey(b)) yield difference(path, "content", describeContent(a), describeContent(b));
  } else if (a.kind === "symlink" && b.kind === "symlink") {
    if (!equalBytes(a.target, b.target)) {
      yield difference(path, "target", displayBytes(a.target), displayBytes(b.target));
    }
  } else if ((a.kind === "char" || a.kind === "block") && (b.kind === "char" || b.kind === "block")) {
    yield* compareText(path, "device", String(a.rdev), String(b.rdev));
  }
}

function* compareMetadata(path: Uint8Array, a: Node, b: Node, { nanoseconds }: CompareOptions): Generator<Difference> {
  yield* compareText(path, "mode", formatMode(a), formatMode(b));
  yield* compareText(path, "owner", `${a.uid}:${a.gid}`, `${b.uid}:${b.gid}`);
  const subsecond = a.mtimeSec === b.mtimeSec;
  if (!subsecond || (nanoseconds && a.mtimeNsec !== b.mtimeNsec)) {
    const later = laterTime(a, b) > 0 ? "a" : "b";
    const time = { later, isDirectory: a.kind === "directory" && b.kind === "directory" } as const;
    yield { ...difference(path, "mtime", formatTime(a), formatTime(b)), subsecond, time };
  }
  if (a.xattrs === b.xattrs) return;
  const valuesOf = ({ xattrs }: Node) => new Map(xattrs.map(({ name, value }) => [toHex(name), { name, value }]));
  const inA = valuesOf(a);
  const inB = valuesOf(b);
  for (const key of [...new Set([...inA.keys(), ...inB.keys()])].sort()) {
    const [left, right] = [inA.get(key), inB.get(key)];
    if (left !== undefined && right !== undefined && equalBytes(left.value, right.value)) continue;
    yield difference(path, "xattr", formatXattr(left), formatXattr(right));
  }
}

/** @returns above 0 when a's is later, below 0 when b's is */
function laterTime(a: Metadata, b: Metadata): number {
  if (a.mtimeSec !== b.mtimeSec) return a.mtimeSec > b.mtimeSec ? 1 : -1;
  return a.mtimeNsec - b.mtimeNsec;
}

function* compareText(path: Uint8Array, field: Field, a: string, b: string): Generator<Difference> {
  if (a !== b) yield difference(path, field, a, b);
}

function difference(path: Uint8Array, field: Field, a: string | null, b: string | null): Difference {
  return { path, field, a, b, subsecond: false };
}

function formatMode({ mode }: Metadata): string {
  return mode.toString(8).padStart(4, "0");
}

function formatXattr(xattr: { name: Uint8Array; value: Uint8Array } | undefined): string | null {
  return xattr === undefined ? null : `${displayBytes(xattr.name)}=${displayBytes(xattr.value)}`;
}

/** Equal for files that are stored alike. */
function contentKey({ content }: RegularFile): string {
  if (content.kind === "inline") return `inline ${toHex(content.bytes)}`;
  const { digest, payload } = content;
  const place = payload instanceof Uint8Array ? toHex(payload) : String(payload);
  return `external ${digest === null ? "" : toHex(digest)} ${place}`;
}

function describeContent({ content }: RegularFile): string {
  if (content.kind === "inline") return displayBytes(content.bytes);
  return content.digest === null ? "unknown" : toHex(content.digest);
}

/** The largest number of milliseconds that a date can be. */
const DATE_LIMIT = 8_640_000_000_000n;

/** `2026-11-20 10:02:11.123456789` in UTC; seconds since the epoch for what no calendar has. */
export function formatTime({ mtimeSec, mtimeNsec }: Pick<Metadata, "mtimeSec" | "mtimeNsec">): string {
  const fraction = mtimeNsec === 0 ? "" : `.${String(mtimeNsec).padStart(9, "0")}`;
  if (mtimeSec > DATE_LIMIT || mtimeSec < -DATE_LIMIT) return `@${mtimeSec}${fraction}`;
  const text = new Date(Number(mtimeSec) * 1000).toISOString().replace("T", " ");
  return text.replace(/\.\d+Z$/, fraction);
}
