/**
 * Images that are not on this disk, or not as an image: in a registry, in the store of podman and buildah, with
 * docker's daemon. skopeo copies them.
 */
import { rmSync } from "node:fs";
import { access, readdir, readFile, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BlobDigest, parseBlobDigest } from "../../oci/digest.ts";
import { formatPlatform, type Platform } from "../../oci/platform.ts";
import { makeTemporaryDirectory } from "../temporary.ts";
import { undoOnSignal } from "../undo.ts";
import type { RemoteTarget } from "./image-target.ts";
import { checkSkopeo, copyBySkopeo, manifestBySkopeo, type SkopeoOptions } from "./skopeo.ts";

/** Gets what has been copied of one image, in bytes. */
export interface CopyProgress {
  /** @param share of all bytes, from 0 to 1, where it is known */
  readonly onBytes: (bytes: number, share?: number) => void;
  readonly done: (bytes: number) => void;
}

/** Images are large, and `/tmp` is often in memory; container tools put theirs here too. */
const LARGE_TEMPORARY = "/var/tmp";
/** How often the copy is looked at. */
const PROGRESS_MS = 200;

const FETCH_OPTIONS = [
  // A store has layers unpacked; compressing them only to unpack them again takes longer than all the rest.
  "--dest-oci-accept-uncompressed-layers",
  // A layout has no place for signatures. What the policy of this machine demands has been checked by then.
  "--remove-signatures",
];

/** How an image goes to a registry or store. */
export interface PutOptions {
  /** Whether the layout holds an index, all images of which go. */
  readonly isIndex: boolean;
  /**
   * Whether a registry gets the documents and layers as they are; else layers that are not compressed are
   * compressed on the way.
   */
  readonly asIs: boolean;
}

/** Which image of several, see {@link RemoteImages.layout}. */
type Wanted = Platform | null | "all";

/** Copies of images for one run of the program, each made once. */
export class RemoteImages {
  /** How skopeo is called. */
  readonly options: SkopeoOptions;
  readonly #start: (subject: string) => CopyProgress | null;
  readonly #layouts = new Map<string, Promise<string>>();
  readonly #removals: (() => void)[] = [];

  /** @param start called with the reference when a copy begins */
  constructor(options: SkopeoOptions, start: (subject: string) => CopyProgress | null = () => null) {
    this.options = options;
    this.#start = start;
  }

  /**
   * An OCI image layout with nothing but the wanted image: its blobs as they are, those of a store uncompressed. It is
   * there until {@link close}.
   * @param reference `docker://…`, `containers-storage:…` or `docker-daemon:…`, as skopeo takes it
   * @param platform which image of several; null: the one for this machine; `all`: all of them, and their index
   * @returns its absolute path
   * @throws SealError `external` when skopeo is missing or fails
   */
  layout(reference: string, platform: Wanted): Promise<string> {
    const key = keyOf(reference, platform);
    const layout = this.#layouts.get(key) ?? this.#copy(reference, platform);
    this.#layouts.set(key, layout);
    return layout;
  }

  /** Removes all copies. */
  close(): void {
    this.#layouts.clear();
    for (const remove of this.#removals.splice(0)) remove();
  }

  /**
   * The manifest or index that a reference means, byte for byte.
   * @throws SealError `external` when skopeo is missing or fails
   */
  manifest(reference: string): Promise<Uint8Array> {
    return manifestBySkopeo(reference, this.options);
  }

  /**
   * Looks whether an image can go to a registry or store, as far as that can be known here.
   * @throws SealError `external` when skopeo is missing; `input` for a file with logins that can't be read
   */
  async check({ subject }: RemoteTarget): Promise<void> {
    await checkSkopeo({ reference: subject, end: "dest" }, this.options);
  }

  /**
   * Copies what a layout holds, one image or one index, to a registry or store.
   * @param layout absolute path
   * @returns the digest of the manifest or index as it is known there; null: docker's daemon has its
   *   own names for images
   * @throws SealError `external` when skopeo is missing or fails
   */
  async put(layout: string, target: RemoteTarget, { isIndex, asIs }: PutOptions): Promise<BlobDigest | null> {
    const digestFile = join(await this.directory(), "digest");
    const progress = this.#start(`to ${target.subject}`);
    const options = [
      ...["--digestfile", digestFile],
      ...(isIndex ? ["--all"] : []),
      ...(asIs && target.kind === "docker" ? ["--preserve-digests"] : []),
    ];
    await copyBySkopeo({ reference: target.subject, end: "dest", layout, global: [], options }, this.options);
    progress?.done(await bytesIn(layout));
    if (target.kind === "docker-daemon") return null;
    // What went there as it is need not be fetched to be looked at.
    if (options.includes("--preserve-digests")) {
      this.#layouts.set(keyOf(target.subject, "all"), Promise.resolve(layout));
    }
    return parseBlobDigest((await readFile(digestFile, "latin1")).trim());
  }

  async #copy(reference: string, platform: Wanted): Promise<string> {
    const layout = join(await this.directory(), "image");
    const progress = this.#start(reference);
    let copying = true;
    const report = async () => {
      const bytes = await bytesIn(layout);
      if (copying) progress?.onBytes(bytes);
    };
    const timer = progress === null ? undefined : setInterval(report, PROGRESS_MS);
    try {
      const global = platformOptions(platform);
      const options = [...(platform === "all" ? ["--multi-arch", "all"] : []), ...FETCH_OPTIONS];
      await copyBySkopeo({ reference, end: "src", layout, global, options }, this.options);
    } finally {
      copying = false;
      clearInterval(timer);
    }
    progress?.done(await bytesIn(layout));
    return layout;
  }

  /** A new directory with room for an image, which is there until {@link close}. @returns its absolute path */
  async directory(): Promise<string> {
    const { env } = this.options;
    const usual = await access(LARGE_TEMPORARY).then(
      () => LARGE_TEMPORARY,
      () => tmpdir(),
    );
    const directory = await makeTemporaryDirectory(env["TMPDIR"] || usual);
    const remove = () => rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
    const release = undoOnSignal(remove);
    this.#removals.push(() => {
      release();
      remove();
    });
    return directory;
  }
}

function keyOf(reference: string, platform: Wanted): string {
  return `${platform === null || platform === "all" ? platform : formatPlatform(platform)} ${reference}`;
}

function platformOptions(platform: Wanted): string[] {
  if (platform === null || platform === "all") return [];
  const { os, architecture, variant } = platform;
  return [
    ...["--override-os", os, "--override-arch", architecture],
    ...(variant === undefined ? [] : ["--override-variant", variant]),
  ];
}

/** Bytes of all files below a directory that is being written. */
async function bytesIn(directory: string): Promise<number> {
  let sum = 0;
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => [])) {
    const stats = await stat(join(entry.parentPath, entry.name)).catch(() => null);
    if (stats?.isFile()) sum += stats.size;
  }
  return sum;
}
