/** Writes a tree as a composefs dump file: composefs-dump(5), byte for byte as `cfsctl create-dumpfile` does. */
import { toHex } from "../bytes.ts";
import { escapeField, escapePath, escapeXattr } from "./dumpfile-escape.ts";
import { hardlinks } from "./links.ts";
import {
  contentSize,
  type Directory,
  type Entry,
  type ExternalContent,
  fullMode,
  type Leaf,
  type Node,
} from "./node.ts";

/** About the size of the chunks, in characters. */
const CHUNK = 1 << 16;

/** The dump of a tree in chunks of bounded size. */
export function* writeDumpfile(root: Directory): Generator<Uint8Array> {
  const links = hardlinks(root);
  /** Escaped paths of the first names of inodes that have several. */
  const written = new Map<Leaf, string>();
  const path: { readonly name: string; readonly entries: readonly Entry[]; next: number }[] = [
    { name: "", entries: root.entries, next: 0 },
  ];
  let text = `/${directoryFields(root)}`;
  for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
    const entry = top.entries[top.next++];
    if (entry === undefined) {
      path.pop();
      continue;
    }
    const name = `${top.name}/${escapePath(entry.name)}`;
    text += name;
    if (entry.node.kind === "directory") {
      text += directoryFields(entry.node);
      path.push({ name, entries: entry.node.entries, next: 0 });
    } else {
      text += leafLine(entry.node, name, links.get(entry.node)?.count ?? 1, written);
    }
    if (text.length > CHUNK) {
      yield Buffer.from(text, "latin1");
      text = "";
    }
  }
  yield Buffer.from(text, "latin1");
}

function directoryFields(directory: Directory): string {
  let links = 2;
  for (const entry of directory.entries) if (entry.node.kind === "directory") links++;
  return fields(directory, { size: 0n, links, rdev: 0, payload: "-", content: "-", digest: "-" });
}

function leafLine(node: Leaf, path: string, links: number, written: Map<Leaf, string>): string {
  if (links > 1) {
    const target = written.get(node);
    if (target !== undefined) return ` 0 @120000 - - - - 0.0 ${target} - -\n`;
    written.set(node, path);
  }
  const none = { size: 0n, links, rdev: 0, payload: "-", content: "-", digest: "-" };
  switch (node.kind) {
    case "regular": {
      const size = contentSize(node);
      if (node.content.kind === "inline")
        return fields(node, { ...none, size, content: escapeField(node.content.bytes) });
      const digest = node.content.digest === null ? "-" : toHex(node.content.digest);
      return fields(node, { ...none, size, payload: payloadField(node.content, digest), digest });
    }
    case "symlink":
      return fields(node, { ...none, size: BigInt(node.target.length), payload: escapeField(node.target) });
    case "char":
    case "block":
      return fields(node, { ...none, rdev: node.rdev });
    case "fifo":
    case "socket":
      return fields(node, none);
  }
}

function payloadField(content: ExternalContent, digest: string): string {
  if (content.payload === null) return "-";
  return content.payload === "digest" ? `${digest.slice(0, 2)}/${digest.slice(2)}` : escapeField(content.payload);
}

interface Fields {
  readonly size: bigint;
  readonly links: number;
  readonly rdev: number;
  readonly payload: string;
  readonly content: string;
  readonly digest: string;
}

function fields(node: Node, { size, links, rdev, payload, content, digest }: Fields): string {
  const mode = fullMode(node).toString(8);
  let line = ` ${size} ${mode} ${links} ${node.uid} ${node.gid} ${rdev} ${node.mtimeSec}.${node.mtimeNsec} ${payload} ${content} ${digest}`;
  for (const xattr of node.xattrs) line += ` ${escapeXattr(xattr.name)}=${escapeXattr(xattr.value)}`;
  return `${line}\n`;
}
