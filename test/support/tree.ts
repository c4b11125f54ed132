/** Root filesystems in memory, from a list of paths. */
import { utf8 } from "../../src/bytes.ts";
import { type Directory, type Entry, type Metadata, type Node, sortEntries } from "../../src/tree/node.ts";
import type { Rootfs } from "../../src/tree/rootfs.ts";

/** Text or bytes: a file. `{ link }`: a symlink. null: an empty directory. Parents come by themselves. */
export type MemoryFiles = Readonly<Record<string, string | Uint8Array | { readonly link: string } | null>>;

const METADATA: Metadata = { mode: 0o755, uid: 0, gid: 0, mtimeSec: 0n, mtimeNsec: 0, xattrs: [] };

export function memoryRootfs(files: MemoryFiles, symlinks: Rootfs["symlinks"] = "inside"): Rootfs {
  interface Draft {
    readonly children: Map<string, Draft | Node>;
  }
  const root: Draft = { children: new Map() };
  for (const [path, content] of Object.entries(files)) {
    const names = path.split("/");
    const last = names.pop() ?? "";
    let place = root;
    for (const name of content === null ? [...names, last] : names) {
      const next = place.children.get(name) ?? { children: new Map() };
      if (!("children" in next)) throw new Error(`${path}: ${name} is a file`);
      place.children.set(name, next);
      place = next;
    }
    if (content !== null) place.children.set(last, leaf(content));
  }
  const build = (draft: Draft): Directory => ({
    ...METADATA,
    kind: "directory",
    entries: sortEntries(
      [...draft.children].map(
        ([name, child]): Entry => ({
          name: Buffer.from(name, "latin1"),
          node: "children" in child ? build(child) : child,
        }),
      ),
    ),
  });
  return {
    label: "/target",
    root: build(root),
    symlinks,
    // All content is inline, whatever its size.
    readContent: () => Promise.reject(new Error("nothing lies outside of the tree")),
  };
}

function leaf(content: string | Uint8Array | { readonly link: string }): Node {
  if (content instanceof Uint8Array)
    return { ...METADATA, kind: "regular", content: { kind: "inline", bytes: content } };
  if (typeof content === "string") return leaf(utf8(content));
  return { ...METADATA, kind: "symlink", target: utf8(content.link) };
}
