/**
 * Opens what the user names as a root filesystem: a directory, an image, an archive, a composefs image or dump file.
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { displayBytes } from "../bytes.ts";
import { type NewImageHasher, newVerityHasher } from "../composefs/digest.ts";
import { inputError } from "../errors.ts";
import { likelyMeant } from "../oci/reference.ts";
import { parseDumpfile } from "../tree/dumpfile.ts";
import { contentSize, type Directory, type Leaf } from "../tree/node.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import { directoryMounts } from "./mounts.ts";
import { readInput } from "./read-input.ts";
import {
  type ImageSource,
  isImage,
  type OpenedImage,
  type OpenedRootfs,
  type OpenOptions,
  type RootfsSource,
} from "./rootfs-source.ts";
import type { Scanned, ScanStats } from "./scan.ts";

/**
 * Reads a root filesystem.
 * @throws SealError `input` for what can't be read
 * @example
 * ```ts
 * import { openRootfs, parseRootfsSource, readTreeFile } from "seal";
 *
 * const reading = { algorithm: null, xattrs: [], cwd: process.cwd() } as const;
 * const { rootfs, stats } = await openRootfs(parseRootfsSource("root"), reading);
 * const release = await readTreeFile(rootfs, "usr/lib/os-release");
 * if (release !== null) console.log(stats.files, Buffer.from(release).toString());
 * ```
 */
export function openRootfs(source: ImageSource, options: OpenOptions): Promise<OpenedImage>;
export function openRootfs(source: RootfsSource, options: OpenOptions): Promise<OpenedRootfs>;
export function openRootfs(source: RootfsSource, options: OpenOptions): Promise<OpenedRootfs> {
  return openAndPrepare(source, options, async () => null);
}

/**
 * {@link openRootfs}, with work on the tree that needs no digests of files: it is done while they are still computed,
 * or layers still hashed.
 * @param prepare gets digests that are still zeros, or layers that may be damaged; all is right when
 *   this function has ended
 */
export function openAndPrepare<Prepared>(
  source: ImageSource,
  options: OpenOptions,
  prepare: (rootfs: Rootfs) => Promise<Prepared>,
): Promise<OpenedImage & { readonly prepared: Prepared }>;
export function openAndPrepare<Prepared>(
  source: RootfsSource,
  options: OpenOptions,
  prepare: (rootfs: Rootfs) => Promise<Prepared>,
): Promise<OpenedRootfs & { readonly prepared: Prepared }>;
export async function openAndPrepare<Prepared>(
  source: RootfsSource,
  options: OpenOptions,
  prepare: (rootfs: Rootfs) => Promise<Prepared>,
): Promise<OpenedRootfs & { readonly prepared: Prepared }> {
  if (isImage(source)) {
    const { openImage } = await import("./oci/image.ts");
    return openImage(source, options, prepare);
  }
  const { finished, ...opened } = await openAndFinish(source, options, { prepare, finish: async (it) => it });
  return { ...opened, prepared: finished };
}

/** Work on a tree in two steps. */
export interface OpenWork<Prepared, Finished> {
  /** See {@link openAndPrepare}. */
  readonly prepare: (rootfs: Rootfs) => Promise<Prepared>;
  /** Done when all digests of files are right. Threads that have computed them hash images for it. */
  readonly finish: (prepared: Prepared, newHasher: NewImageHasher) => Promise<Finished>;
}

/** {@link openRootfs} of what is no image, with work on the tree. */
export async function openAndFinish<Prepared, Finished>(
  source: Exclude<RootfsSource, ImageSource>,
  options: OpenOptions,
  { prepare, finish }: OpenWork<Prepared, Finished>,
): Promise<OpenedRootfs & { readonly finished: Finished }> {
  const alone = async ({ prepared, ...opened }: OpenedRootfs & { readonly prepared: Prepared }) => {
    return { ...opened, finished: await finish(prepared, newVerityHasher) };
  };
  switch (source.kind) {
    case "dir": {
      const given = source.path;
      const path = resolve(options.cwd, given);
      refuseReference(source.subject, path);
      // The other ways need neither workers nor native code.
      const { scanAndFinish } = await import("./scan.ts");
      const { stats, finished } = await scanAndFinish(path, options, {
        prepare: async (scanned) => {
          const rootfs = directoryRootfs(given, path, scanned);
          return { rootfs, prepared: await prepare(rootfs) };
        },
        finish: async ({ rootfs, prepared }, newHasher) => ({ rootfs, result: await finish(prepared, newHasher) }),
      });
      return { rootfs: finished.rootfs, stats, image: null, finished: finished.result };
    }
    case "dumpfile": {
      const bytes = await readInput(resolve(options.cwd, source.path));
      return alone(await prepareTree(source.path, "a dump file", parseDumpfile(bytes, source.path), prepare));
    }
    case "erofs": {
      const { readErofs } = await import("../composefs/reader.ts");
      const { root } = readErofs(await readInput(resolve(options.cwd, source.path)), source.path);
      return alone(await prepareTree(source.path, "a composefs image", root, prepare));
    }
    case "tar": {
      const { openArchive } = await import("./oci/image.ts");
      return alone(await openArchive(source, options, prepare));
    }
  }
}

/**
 * Refuses the name of an image that was not said to be one, where nothing has such a path.
 * @param text as the user wrote it
 * @param path what it is if it is a path, absolute
 * @throws SealError `input`
 */
export function refuseReference(text: string, path: string): void {
  const meant = existsSync(path) ? null : likelyMeant(text);
  if (meant !== null) throw inputError(text, `there is no such path; probably ${meant}`);
}

/** A tree that came without contents. */
async function prepareTree<Prepared>(
  subject: string,
  what: string,
  root: Directory,
  prepare: (rootfs: Rootfs) => Promise<Prepared>,
): Promise<OpenedRootfs & { readonly prepared: Prepared }> {
  const rootfs: Rootfs = { subject, root, view: "mounted", readContent: refuseContent(subject, what) };
  return { rootfs, stats: countTree(root), image: null, prepared: await prepare(rootfs) };
}

function directoryRootfs(subject: string, path: string, { root, touched }: Scanned): Rootfs {
  const { mounted, buildkit } = directoryMounts(path);
  return {
    subject,
    root,
    view: "mounted",
    mount: { mounted, touched, dropsTouched: buildkit },
    directory: path,
    readContent: async (components, file) => {
      // It needs native code.
      const { readTreeContent } = await import("./tree-content.ts");
      return readTreeContent(path, components, contentSize(file));
    },
  };
}

function refuseContent(subject: string, what: string): Rootfs["readContent"] {
  return async (components) => {
    const path = components.map(displayBytes).join("/");
    throw inputError(
      subject,
      `${path} is needed, but ${what} has no contents; give the directory itself, or --transform none`,
    );
  };
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
