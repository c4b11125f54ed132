/** Root filesystems in memory, from a list of paths. */
import { utf8 } from "../../src/bytes.ts";
import { VerityHasher } from "../../src/composefs/verity.ts";
import {
  type Directory,
  type Entry,
  INLINE_LIMIT,
  type Metadata,
  type Node,
  type RegularFile,
  sortEntries,
} from "../../src/tree/node.ts";
import type { Rootfs } from "../../src/tree/rootfs.ts";

/** A file or directory with other metadata than the usual. */
interface WithMetadata extends Partial<Metadata> {
  readonly content: string | Uint8Array | null;
}

/**
 * By path, whose characters are bytes. Text or bytes: a file. `{ link }`: a symlink. null: an empty directory.
 * `{ content, mode… }`: a file or empty directory with that metadata. Parents come by themselves; `.` is the root,
 * where its metadata is another.
 */
export type MemoryFiles = Readonly<Record<string, MemoryFile>>;
export type MemoryFile = string | Uint8Array | { readonly link: string } | WithMetadata | null;

const METADATA: Metadata = { mode: 0o755, uid: 0, gid: 0, mtimeSec: 0n, mtimeNsec: 0, xattrs: [] };

/** Files over 64 bytes are external, as in a tree that was read from a disk. */
export function memoryRootfs(files: MemoryFiles, view: Rootfs["view"] = "mounted"): Rootfs {
  interface Draft {
    readonly metadata: Metadata;
    readonly children: Map<string, Draft | Node>;
  }
  const contents = new Map<RegularFile, Uint8Array>();
  const { ".": top = null, ...others } = files;
  const root: Draft = { metadata: describeFile(top), children: new Map() };
  const placeFor = (names: readonly string[], metadata: Metadata): Draft => {
    let place = root;
    for (const [index, name] of names.entries()) {
      const own = index === names.length - 1 ? metadata : METADATA;
      const next = place.children.get(name) ?? { metadata: own, children: new Map() };
      if (!("children" in next)) throw new Error(`${names.join("/")}: ${name} is a file`);
      place.children.set(name, next);
      place = next;
    }
    return place;
  };
  for (const [path, file] of Object.entries(others)) {
    const names = path.split("/");
    const { content, ...metadata } = describeFile(file);
    if (content === null) {
      placeFor(names, metadata);
      continue;
    }
    const place = placeFor(names.slice(0, -1), METADATA);
    const node: Node =
      content instanceof Uint8Array
        ? regular(content, metadata)
        : { ...metadata, kind: "symlink", target: utf8(content.link) };
    if (node.kind === "regular" && content instanceof Uint8Array) contents.set(node, content);
    place.children.set(names.at(-1) ?? "", node);
  }
  const build = ({ metadata, children }: Draft): Directory => ({
    ...metadata,
    kind: "directory",
    entries: sortEntries(
      [...children].map(
        ([name, child]): Entry => ({
          name: Buffer.from(name, "latin1"),
          node: "children" in child ? build(child) : child,
        }),
      ),
    ),
  });
  return {
    subject: "/target",
    root: build(root),
    view,
    readContent: async (_components, file) => {
      const content = contents.get(file);
      if (content === undefined) throw new Error("this file is not of this tree");
      return content;
    },
  };
}

function describeFile(file: MemoryFile): Metadata & { content: Uint8Array | { readonly link: string } | null } {
  if (file === null) return { ...METADATA, content: null };
  if (typeof file === "string") return { ...METADATA, content: utf8(file) };
  if (file instanceof Uint8Array || "link" in file) return { ...METADATA, content: file };
  const { content, ...metadata } = file;
  return { ...METADATA, ...metadata, content: typeof content === "string" ? utf8(content) : content };
}

function regular(bytes: Uint8Array, metadata: Metadata): RegularFile {
  if (bytes.length <= INLINE_LIMIT) return { ...metadata, kind: "regular", content: { kind: "inline", bytes } };
  const hasher = new VerityHasher("sha512");
  hasher.update(bytes);
  const content = { kind: "external", size: BigInt(bytes.length), digest: hasher.digest(), payload: "digest" } as const;
  return { ...metadata, kind: "regular", content };
}
