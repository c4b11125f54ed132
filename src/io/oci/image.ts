/** Opens container images and archives of root filesystems. */
import { resolve } from "node:path";
import { SealError } from "../../errors.ts";
import { type Platform, parsePlatform } from "../../oci/platform.ts";
import type { StoredImage } from "../../oci/schemas.ts";
import type { Rootfs } from "../../tree/rootfs.ts";
import type {
  ArchiveSource,
  ImageSource,
  LocalImageSource,
  OpenedImage,
  OpenedRootfs,
  OpenOptions,
} from "../rootfs-source.ts";
import { together } from "../together.ts";
import { dockerImage } from "./docker-archive.ts";
import { openStore } from "./file-store.ts";
import type { Layer } from "./layer.ts";
import { openLayers } from "./layers.ts";
import { type ImageChoice, layoutImage } from "./oci-layout.ts";
import type { RemoteImages } from "./remote-images.ts";
import { wholeFile } from "./stored-file.ts";

/** Node's names of architectures as Go has them. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: "amd64",
  ia32: "386",
  ppc64: "ppc64le",
  loong64: "loong64",
};

/**
 * The tree of an archive of a root filesystem.
 * @param prepare see {@link openLayers}
 * @throws SealError `input` for what is damaged or hostile
 */
export async function openArchive<Prepared>(
  source: ArchiveSource,
  options: OpenOptions,
  prepare: (rootfs: Rootfs) => Promise<Prepared>,
): Promise<OpenedRootfs & { readonly prepared: Prepared }> {
  const file = await wholeFile(source.subject, resolve(options.cwd, source.path));
  const layer: Layer = { file, digest: null, diffId: null, mediaType: null, negativeTimes: true };
  const opened = await openLayers(
    [layer],
    { ...withOwners(options), subject: source.subject, view: "mounted" },
    prepare,
  );
  return { ...opened, image: null };
}

/**
 * The tree of an image, and its documents.
 * @param prepare see {@link openLayers}
 * @throws SealError `input` for what is damaged, hostile or lacks the image; `usage` for an invalid platform; as
 *   {@link localImage} does
 */
export async function openImage<Prepared>(
  source: ImageSource,
  options: OpenOptions,
  prepare: (rootfs: Rootfs) => Promise<Prepared>,
): Promise<OpenedImage & { readonly prepared: Prepared }> {
  const image = await openStoredImage(source, options);
  const { layers } = image;
  const { meanwhile } = options;
  const [opened] = await together(
    (signal) =>
      openLayers(layers, { ...withOwners(options), subject: source.subject, view: "layers", signal }, prepare),
    async (signal) => meanwhile?.(layers, signal),
    options.signal,
  );
  return { ...opened, image };
}

function withOwners(options: OpenOptions) {
  return { ...options, paxOwners: options.paxOwners ?? "count" };
}

/**
 * An image without its tree: configuration and manifest, and its layers unread.
 * @throws SealError as {@link openImage}
 */
export async function openStoredImage(
  source: ImageSource,
  options: Pick<OpenOptions, "cwd" | "remote" | "platform">,
): Promise<StoredImage<Layer>> {
  const local = await localImage(source, options);
  const { kind, path, subject } = local;
  const choice = choiceOf(local, options);
  const store = await openStore(kind, subject, resolve(options.cwd, path));
  return kind === "docker-archive" ? dockerImage(store, choice) : layoutImage(store, choice);
}

/**
 * An image on this disk: the one that was named, or a copy of it.
 * @param which `all`: of several, the copy has those for all platforms
 * @throws SealError as {@link RemoteImages.layout} does
 */
export async function localImage(
  source: ImageSource,
  { remote, platform }: Pick<OpenOptions, "remote" | "platform">,
  which: "one" | "all" = "one",
): Promise<LocalImageSource> {
  if ("path" in source) return source;
  const { subject } = source;
  const wanted = platform === undefined ? null : parsePlatform(platform);
  const path = await requireRemote(subject, remote).layout(subject, which === "all" ? "all" : wanted);
  return { kind: "oci", path, reference: null, subject };
}

/** What gets images from elsewhere. @throws SealError `usage` when there is none */
export function requireRemote(subject: string, remote: RemoteImages | undefined): RemoteImages {
  if (remote !== undefined) return remote;
  throw new SealError("usage", `${subject}: is not on this disk; copy it with skopeo and give oci:PATH`);
}

/** @throws SealError `usage` for an invalid platform */
export function choiceOf(
  { reference, manifest }: LocalImageSource,
  { platform }: Pick<OpenOptions, "platform">,
): ImageChoice {
  const platformGiven = platform !== undefined;
  return {
    reference,
    platform: platformGiven ? parsePlatform(platform) : thisPlatform(),
    platformGiven,
    manifest: manifest ?? null,
  };
}

/** Linux on this machine. */
export function thisPlatform(): Platform {
  return { os: "linux", architecture: ARCHITECTURES[process.arch] ?? process.arch };
}
