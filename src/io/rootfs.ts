/** Opens what the user names as a root filesystem: a directory, an image, an archive, a composefs image or dump file. */
import { closeSync, constants, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { displayBytes } from "../bytes.ts";
import { inputError, SealError } from "../errors.ts";
import type { StoredImage } from "../oci/schemas.ts";
import { parseDumpfile } from "../tree/dumpfile.ts";
import type { LayerObserver } from "../tree/layer-observer.ts";
import { contentSize, type Directory, type Leaf, type RegularFile } from "../tree/node.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import { changedError, readError } from "./hash-file.ts";
import type { ContentNeeds } from "./oci/kept-contents.ts";
import type { Layer } from "./oci/layer.ts";
import type { RemoteImages } from "./oci/remote-images.ts";
import { readInput } from "./read-input.ts";
import type { ScanOptions, ScanStats } from "./scan.ts";

/** What a ROOTFS argument names. */
export type RootfsSpec = { readonly kind: "dir" | "dumpfile" | "erofs"; readonly path: string } | ImageSpec;

/** What is made of layers. */
export type ImageSpec =
  | { readonly kind: "tar"; readonly path: string }
  | {
      readonly kind: "oci" | "oci-archive" | "docker-archive";
      readonly path: string;
      readonly reference: string | null;
    }
  | RemoteSpec;

/** An image that lies in a registry or in the store of container tools, and is had through skopeo. */
export interface RemoteSpec {
  readonly kind: "docker" | "containers-storage";
  /** What stands behind the first colon, as skopeo takes it. */
  readonly reference: string;
}

export interface OpenOptions extends ScanOptions {
  /** Where relative paths start. */
  readonly cwd: string;
  /** Which image of an index, as `os/architecture[/variant]`; default: Linux on the architecture of this machine. */
  readonly platform?: string;
  /** How layers are read, see `TransformRules.paxOwners`; default: `count`. */
  readonly paxOwners?: "count" | "ignored";
  /** Gets what is not on this disk; without it such images are refused. */
  readonly remote?: RemoteImages;
  /** Told of what the layers of an image have and its tree does not show. */
  readonly observer?: LayerObserver;
  /** Work on the layers of an image that is done while they are read; the signal tells it to stop. */
  readonly meanwhile?: (layers: readonly Layer[], signal: AbortSignal) => Promise<void>;
  /** What contents of layers are kept in memory for; the others are slower to read. Default: all that verbs read. */
  readonly needs?: ContentNeeds;
}

export interface OpenedRootfs {
  readonly rootfs: Rootfs;
  readonly stats: Readonly<ScanStats>;
  /** Where the root filesystem is an image. */
  readonly image?: StoredImage<Layer>;
}

/** The kinds of ROOTFS arguments, for messages. */
const KINDS =
  "a directory, dir:PATH, oci:PATH[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REF], docker://REF, containers-storage:REF, tar:FILE, erofs:FILE or dumpfile:FILE";

/**
 * Takes a ROOTFS argument apart, see {@link RootfsSpec}. A path whose first colon stands behind a slash is a path. The path of an image ends at its
 * first colon, as container tools have it.
 * @throws SealError `usage` for another kind
 */
export function parseRootfsSpec(text: string): RootfsSpec {
  const [, kind, rest = ""] = /^([^/:]*):(.*)$/s.exec(text) ?? [];
  if (kind === undefined && text !== "") return { kind: "dir", path: text };
  switch (kind) {
    case "dir":
    case "dumpfile":
    case "erofs":
    case "tar":
      if (rest !== "") return { kind, path: rest };
      break;
    case "oci":
    case "oci-archive":
    case "docker-archive": {
      const [, path, reference] = /^([^:]+)(?::(.+))?$/s.exec(rest) ?? [];
      if (path !== undefined) return { kind, path, reference: reference ?? null };
      break;
    }
    case "docker":
      if (/^\/\/./.test(rest)) return { kind, reference: rest };
      break;
    case "containers-storage":
      if (rest !== "") return { kind, reference: rest };
  }
  throw new SealError("usage", `"${text}" names no root filesystem; give ${KINDS}`);
}

const IMAGE_KINDS = new Set<RootfsSpec["kind"]>([
  "oci",
  "oci-archive",
  "docker-archive",
  "docker",
  "containers-storage",
]);

/** Whether an argument names an image, whose layers are read. */
export function isLayers(spec: string): boolean {
  return IMAGE_KINDS.has(parseRootfsSpec(spec).kind);
}

/**
 * Reads a root filesystem.
 * @param spec see {@link parseRootfsSpec}
 * @throws SealError `usage` for a spec of an unknown kind; `input` for what can't be read
 */
export async function openRootfs(spec: string, options: OpenOptions): Promise<OpenedRootfs> {
  return openAndPrepare(spec, options, async () => null);
}

/**
 * {@link openRootfs}, with work on the tree that needs no digests of files: it is done while they are still computed.
 * @param prepare gets digests that are still zeros; they are right when this function has ended
 */
export async function openAndPrepare<Prepared>(
  spec: string,
  options: OpenOptions,
  prepare: (rootfs: Rootfs) => Promise<Prepared>,
): Promise<OpenedRootfs & { readonly prepared: Prepared }> {
  const parsed = parseRootfsSpec(spec);
  switch (parsed.kind) {
    case "dir": {
      const given = parsed.path;
      const path = resolve(options.cwd, given);
      // The other ways need neither workers nor native code.
      const { scanAndPrepare } = await import("./scan.ts");
      const describe = (root: Directory) => directoryRootfs(given, path, root);
      const { root, stats, prepared } = await scanAndPrepare(path, options, (tree) => prepare(describe(tree)));
      return { rootfs: describe(root), stats, prepared };
    }
    case "dumpfile": {
      const bytes = await readInput(resolve(options.cwd, parsed.path));
      return prepareTree(parsed.path, "a dump file", parseDumpfile(bytes, parsed.path), prepare);
    }
    case "erofs": {
      const { readImage } = await import("../composefs/reader.ts");
      const { root } = readImage(await readInput(resolve(options.cwd, parsed.path)), parsed.path);
      return prepareTree(parsed.path, "a composefs image", root, prepare);
    }
    default: {
      const { openImage } = await import("./oci/image.ts");
      const opened = await openImage(parsed, spec, options);
      return { ...opened, prepared: await prepare(opened.rootfs) };
    }
  }
}

/** A tree that came without contents. */
async function prepareTree<Prepared>(
  label: string,
  what: string,
  root: Directory,
  prepare: (rootfs: Rootfs) => Promise<Prepared>,
): Promise<OpenedRootfs & { readonly prepared: Prepared }> {
  const rootfs: Rootfs = { label, root, view: "mounted", readContent: refuseContent(label, what) };
  return { rootfs, stats: countTree(root), prepared: await prepare(rootfs) };
}

function directoryRootfs(label: string, path: string, root: Directory): Rootfs {
  return {
    label,
    root,
    view: "mounted",
    readContent: (components, file) => readBelow(path, components, file),
  };
}

function refuseContent(label: string, what: string): Rootfs["readContent"] {
  return async (components) => {
    const path = components.map(displayBytes).join("/");
    throw inputError(
      label,
      `${path} is needed, but ${what} has no contents; give the directory itself, or --transform none`,
    );
  };
}

/** Reads a file below a directory, step by step, so that nothing on the way can be a symlink. */
async function readBelow(root: string, components: readonly Uint8Array[], file: RegularFile): Promise<Uint8Array> {
  const { openAt } = await import("./libc.ts");
  const full = Buffer.concat([Buffer.from(root), ...components.flatMap((name) => [Buffer.from("/"), name])]);
  const last = components.at(-1) ?? new Uint8Array(0);
  let descriptor: number | null = null;
  try {
    const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
    descriptor = openAt(null, terminated(Buffer.from(join(root, "."))), O_RDONLY | O_DIRECTORY);
    for (const name of components.slice(0, -1)) {
      const next = openAt(descriptor, terminated(name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      closeSync(descriptor);
      descriptor = next;
    }
    const opened = openAt(descriptor, terminated(last), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    closeSync(descriptor);
    descriptor = opened;
    const content = readFileSync(descriptor);
    if (BigInt(content.length) !== contentSize(file)) throw changedError(full);
    return content;
  } catch (error) {
    throw error instanceof SealError ? error : readError(full, error);
  } finally {
    if (descriptor !== null) closeSync(descriptor);
  }
}

function terminated(name: Uint8Array): Uint8Array {
  return Buffer.concat([name, Buffer.of(0)]);
}

/** Files and directories of a tree that was not scanned. */
function countTree(root: Directory): ScanStats {
  const files = new Set<Leaf>();
  const pending: Directory[] = [root];
  let directories = 0;
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    directories++;
    for (const { node } of directory.entries) {
      if (node.kind === "directory") pending.push(node);
      else if (node.kind === "regular") files.add(node);
    }
  }
  return { files: files.size, directories, bytesHashed: 0 };
}
